#ifndef CF_TESTS_UNIT_REPO_FIXTURE_H
#define CF_TESTS_UNIT_REPO_FIXTURE_H

/* What the tests of the repository share: a small repository in memory, a source, and comparing
 * what comes back. */

#include "backends/fault.h"
#include "backends/memory.h"
#include "backends/trace.h"
#include "base/ctx.h"
#include "base/err.h"
#include "base/secret.h"
#include "repo/check.h"
#include "repo/handle.h"
#include "repo/restore.h"
#include "repo/writer.h"
#include "tests/suite/sink_recorder.h"

/* Tests that try something at each call of something try one in so many under the address sanitizer, which is slow: that the result is
 * right is seen without it. Odd, lest it be in step with calls that come in pairs. */
#ifdef __SANITIZE_ADDRESS__
#define FIXTURE_STRIDE 3
#else
#define FIXTURE_STRIDE 1
#endif

/* A fixed clock: each reading is a millisecond later. */
struct fixture {
	struct cf_ctx ctx;
	atomic_llong now;
	atomic_int cancel;
	atomic_uint_least64_t n_warnings;
	struct cf_secret *key_file;
	struct cf_credentials credentials;
	struct cf_backend *store; /* its content; handles work on wrappers of it */
};

/* A repository in memory; asserts that it can be made. cipher 0: the default. */
void fixture_init(struct fixture *f, enum cf_cipher cipher);
void fixture_release(struct fixture *f);

/* A backend that passes everything on to `inner` and leaves it open when closed. */
struct cf_backend *fixture_share(struct cf_backend *inner);

/* Open with an index in memory, over a backend that the handle takes. NULL and *err on failure. */
struct cf_repo *fixture_open_over(struct fixture *f, struct cf_backend *backend,
				  const char *cache_dir, struct cf_err *err);
/* The same over f->store; asserts. */
struct cf_repo *fixture_open(struct fixture *f);

/* Push the test tree as of a version (1, 2, ...: a few bytes of each differ) into a sink. */
int source_push(unsigned version, struct cf_sink *sink, struct cf_err *err);
/* n bytes that look like rows of a table; about one row in a hundred depends on the version. */
void source_rows(unsigned version, struct cf_buf *out, size_t n);

int fixture_backup(struct cf_repo *repo, unsigned version, struct cf_snapshot **snapshot_out,
		   struct cf_err *err);
/* Restore all of a snapshot, and 1 when it is the test tree of that version, 0 when not, or an
 * error. */
int fixture_restore_equals(struct cf_repo *repo, const struct cf_snapshot *snapshot,
			   unsigned version, struct cf_err *err);
/* True when both trees have the same entries and contents. */
bool recorded_equal(const struct cf_recorded *a, const struct cf_recorded *b);

/* Findings of a check that reads everything, as lines "object: problem" in findings (may be NULL).
 */
int fixture_check(struct cf_repo *repo, struct cf_buf *findings, struct cf_err *err);

#endif
