/*
 * Memory runs out at each allocation of a small backup and restore in turn: a clean error, nothing
 * leaked (the sanitizer looks), and nothing wrong in the store. Linked with --wrap, so that the
 * repository's calls come here.
 */

#include "tests/suite/seeded_random.h"
#include "tests/unit/repo_fixture.h"

#include "repo/audit.h"
#include "repo/forget.h"
#include "repo/key_admin.h"
#include "repo/pack_keys.h"
#include "repo/prune.h"
#include "tests/suite/temp_folder.h"

#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);

/* How many allocations still succeed; negative: all. */
static atomic_int left = -1;
static atomic_bool has_failed;

static bool may_allocate(void)
{
	if (atomic_load(&left) < 0 || atomic_fetch_sub(&left, 1) != 0)
		return true;
	atomic_store(&has_failed, true);
	errno = ENOMEM;
	return false;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return may_allocate() ? __real_realloc(old, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
	return may_allocate() ? __real_strdup(text) : NULL;
}

static void fail_after(int n)
{
	atomic_store(&has_failed, false);
	atomic_store(&left, n);
}

static bool failed(void)
{
	atomic_store(&left, -1);
	return atomic_load(&has_failed);
}

static char rows[200000];

static int push_file(struct cf_sink *sink, struct cf_dir *dir, const char *name, size_t len,
		     unsigned nlink, struct cf_err *err)
{
	const struct cf_entry entry = {.type = CF_ENTRY_FILE,
				       .name = name,
				       .size = len,
				       .nlink = nlink,
				       .dev = nlink,
				       .ino = nlink};
	struct cf_file *file = NULL;
	int rc = sink->ops->file_begin(sink, dir, &entry, NULL, &file, err);

	if (rc < 0 || !file)
		return rc;
	rc = sink->ops->file_write(sink, file, cf_span_of(rows, len), err);
	if (rc == 0)
		rc = sink->ops->file_hole(sink, file, 1 << 20, err);
	if (rc == 0)
		rc = sink->ops->file_end(sink, file, &entry, err);
	else
		sink->ops->file_abort(sink, file);
	return rc;
}

static int push(struct cf_sink *sink, struct cf_err *err)
{
	const struct cf_entry root = {.type = CF_ENTRY_DIR, .name = ""};
	const struct cf_entry sub = {.type = CF_ENTRY_DIR, .name = "sub"};
	const struct cf_entry link = {.type = CF_ENTRY_SYMLINK, .name = "to", .target = "sub"};
	struct cf_dir *dir, *inner;
	int rc = sink->ops->dir_begin(sink, NULL, &root, 0, &dir, err);

	if (rc == 0)
		rc = push_file(sink, dir, "big", sizeof(rows), 0, err);
	if (rc == 0)
		rc = sink->ops->dir_begin(sink, dir, &sub, CF_DIR_SORTED, &inner, err);
	if (rc == 0)
		rc = push_file(sink, inner, "a", 100, 2, err);
	if (rc == 0)
		rc = push_file(sink, inner, "b", 100, 2, err);
	if (rc == 0)
		rc = sink->ops->dir_end(sink, inner, NULL, err);
	if (rc == 0)
		rc = sink->ops->node(sink, dir, &link, err);
	if (rc == 0)
		rc = sink->ops->fact(sink, "key", "value", err);
	return rc < 0 ? rc : sink->ops->dir_end(sink, dir, &root, err);
}

static int backup(struct fixture *f, struct cf_snapshot **snapshot_out, struct cf_err *err)
{
	const char *const tags[] = {"a", "b"};
	const struct cf_writer_options options = {.source = "test:",
						  .driver = "test",
						  .host = "h",
						  .user = "u",
						  .tags = tags,
						  .n_tags = 2};
	struct cf_repo *repo = fixture_open_over(f, fixture_share(f->store), NULL, err);
	struct cf_writer *writer = NULL;
	int rc;

	if (!repo)
		return err->code ? err->code : cf_err_nomem(err); /* the wrapper has no err */
	rc = cf_writer_open(repo, &options, &writer, err);
	if (rc == 0)
		rc = push(cf_writer_sink(writer), err);
	if (rc == 0)
		rc = cf_writer_commit(writer, snapshot_out, err);
	cf_writer_close(writer);
	cf_repo_close(repo);
	return rc;
}

/* A sink that sums up what it gets, without memory of its own. */
struct sum {
	struct cf_sink sink;
	atomic_uint_least64_t bytes;
	atomic_uint n_entries;
};

static int sum_dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
			 unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	((struct sum *)sink)->n_entries++;
	*dir_out = (struct cf_dir *)sink;
	return 0;
}

static int sum_dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		       struct cf_err *err)
{
	return 0;
}

static int sum_node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		    struct cf_err *err)
{
	((struct sum *)sink)->n_entries++;
	return 0;
}

static int sum_file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			  const struct cf_profile *profile, struct cf_file **file_out,
			  struct cf_err *err)
{
	((struct sum *)sink)->n_entries++;
	*file_out = (struct cf_file *)sink;
	return 0;
}

static int sum_write_at(struct cf_sink *sink, struct cf_file *file, uint64_t off,
			struct cf_span data, struct cf_err *err)
{
	atomic_fetch_add(&((struct sum *)sink)->bytes, data.len);
	return 0;
}

static int sum_file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
			struct cf_err *err)
{
	return 0;
}

static void sum_file_abort(struct cf_sink *sink, struct cf_file *file)
{
}

static int sum_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		    const char *from, struct cf_err *err)
{
	((struct sum *)sink)->n_entries++;
	return 0;
}

static const struct cf_sink_ops sum_ops = {.dir_begin = sum_dir_begin,
					   .dir_end = sum_dir_end,
					   .node = sum_node,
					   .file_begin = sum_file_begin,
					   .file_write_at = sum_write_at,
					   .file_end = sum_file_end,
					   .file_abort = sum_file_abort,
					   .link = sum_link};

static int restore(struct fixture *f, const struct cf_id *id, struct sum *sum, struct cf_err *err)
{
	const struct cf_restore_run_options options = {0};
	struct cf_restore_figures figures;
	struct cf_snapshot *snapshot = NULL;
	struct cf_repo *repo = fixture_open_over(f, fixture_share(f->store), NULL, err);
	int rc;

	if (!repo)
		return err->code ? err->code : cf_err_nomem(err); /* the wrapper has no err */
	*sum = (struct sum){.sink.ops = &sum_ops};
	rc = cf_snapshot_load(repo, id, &snapshot, err);
	if (rc == 0)
		rc = cf_restore_run(repo, snapshot, "", &options, &sum->sink, &figures, err);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	return rc;
}

static void assert_whole(struct fixture *f, const struct cf_id *id)
{
	struct cf_err err = CF_ERR_INIT;
	struct sum sum;

	if (restore(f, id, &sum, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(sum.n_entries, 6);
	assert_int_equal(sum.bytes, sizeof(rows) + 100);
}

/* jansson does not always say why it did not read a document. */
static bool is_of_jansson(const char *text)
{
	return strstr(text, "is not JSON") || strstr(text, "canonical form");
}

static void assert_nomem(int n, int rc, const struct cf_err *err)
{
	if (rc == CF_ERR_DAMAGED && is_of_jansson(err->text))
		return;
	if (rc != CF_ERR_NOMEM || !err->text[0])
		fail_msg("allocation %d failed: %d %s", n, rc, err->text);
}

/* Once on an empty repository, once with a parent to read. */
static void backup_without_memory_fails_cleanly(void **state)
{
	struct fixture f;

	fixture_init(&f, 0);
	for (int round = 0; round < 2; round++) {
		struct cf_backend *before = f.store;
		struct cf_snapshot *snapshot = NULL;
		bool reached = true;
		int n;

		for (n = 0; reached; n++) {
			struct cf_err err = CF_ERR_INIT;
			int rc;

			rows[n % sizeof(rows)] ^= 1;
			assert_int_equal(cf_memory_copy(before, &f.store, NULL), 0);
			fail_after(n);
			rc = backup(&f, &snapshot, &err);
			reached = failed();
			/* What is only a help may do without. */
			if (rc == 0)
				assert_whole(&f, &snapshot->id);
			else
				assert_nomem(n, rc, &err);
			cf_snapshot_free(snapshot);
			snapshot = NULL;
			cf_backend_close(f.store);
		}
		assert_true(n > 100);
		f.store = before;
		assert_int_equal(backup(&f, &snapshot, NULL), 0);
		cf_snapshot_free(snapshot);
	}
	fixture_release(&f);
}

static void restore_without_memory_fails_cleanly(void **state)
{
	struct cf_snapshot *snapshot;
	struct fixture f;
	bool reached = true;

	fixture_init(&f, 0);
	assert_int_equal(backup(&f, &snapshot, NULL), 0);
	for (int n = 0; reached; n++) {
		struct cf_err err = CF_ERR_INIT;
		struct sum sum;
		int rc;

		fail_after(n);
		rc = restore(&f, &snapshot->id, &sum, &err);
		reached = failed();
		if (rc == 0)
			assert_int_equal(sum.bytes, sizeof(rows) + 100);
		else
			assert_nomem(n, rc, &err);
	}
	assert_whole(&f, &snapshot->id);
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

/* Of two snapshots the first, retagged; what is left is whole, and the other one untouched. */
static void forget_without_memory_fails_cleanly(void **state)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct cf_snapshot *first, *second;
	const char *tag = "x";
	struct cf_repo *repo;
	struct fixture f;
	struct cf_id id;
	bool reached = true;
	int n;

	fixture_init(&f, 0);
	assert_int_equal(backup(&f, &first, NULL), 0);
	assert_int_equal(backup(&f, &second, NULL), 0);
	repo = fixture_open(&f);
	assert_int_equal(cf_snapshot_set_tags(repo, first, &tag, 1, &id, NULL), 0);
	cf_repo_close(repo);
	for (n = 0; reached; n++) {
		struct cf_backend *before = f.store;
		struct cf_err err = CF_ERR_INIT;
		struct cf_forget_figures figures;
		int rc;

		assert_int_equal(cf_memory_copy(before, &f.store, NULL), 0);
		repo = fixture_open(&f);
		fail_after(n);
		rc = cf_forget_run(repo, &id, 1, &who, &figures, &err);
		reached = failed();
		cf_repo_close(repo);
		/* A snapshot that jansson did not read counts as damaged, and then nothing goes. */
		if (rc < 0 && !(rc == CF_ERR_DAMAGED && strstr(err.text, "is damaged and may be")))
			assert_nomem(n, rc, &err);
		repo = fixture_open(&f);
		assert_int_equal(fixture_check(repo, NULL, NULL), 0);
		cf_repo_close(repo);
		assert_whole(&f, &second->id);
		cf_backend_close(f.store);
		f.store = before;
	}
	assert_true(n > 50);
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	fixture_release(&f);
}

/* Lines of digits, of which one in twenty is another one every day. */
static void write_rows(unsigned today)
{
	enum { LEN = 40 };

	for (unsigned row = 0; row < sizeof(rows) / LEN; row++) {
		uint64_t value = (row + 1) * UINT64_C(0x9e3779b97f4a7c15);

		if (today && (row + today * 7) % 20 == 0)
			value *= today * 2 + 1;
		else if (today)
			continue;
		snprintf(rows + (size_t)row * LEN, LEN, "%07u %016llx %13u", row, (unsigned long long)value, row % 31);
		rows[(size_t)row * LEN + LEN - 1] = '\n';
	}
}

/* Of four days the first is forgotten, so the others get a new base. */
static void prune_without_memory_loses_nothing(void **state)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	const struct cf_prune_options now = {.host = "h", .user = "u", .max_unused_percent = 1, .now = true};
	struct cf_prune_figures pruned;
	struct cf_forget_figures forgotten;
	struct cf_snapshot *days[4];
	struct cf_repo *repo;
	struct fixture f;
	bool reached = true;
	int n;

	cf_seed_random();
	fixture_init(&f, 0);
	for (unsigned d = 0; d < 4; d++) {
		write_rows(d);
		assert_int_equal(backup(&f, &days[d], NULL), 0);
	}
	repo = fixture_open(&f);
	assert_int_equal(cf_forget_run(repo, &days[0]->id, 1, &who, &forgotten, NULL), 0);
	cf_repo_close(repo);
	for (n = 0; reached; n += 1 + n / 8) {
		struct cf_backend *before = f.store;
		struct cf_err err = CF_ERR_INIT;
		int rc;

		assert_int_equal(cf_memory_copy(before, &f.store, NULL), 0);
		repo = fixture_open(&f);
		fail_after(n);
		rc = cf_prune_run(repo, &now, &pruned, &err);
		reached = failed();
		cf_repo_close(repo);
		/* A snapshot that jansson did not read counts as damaged, and then nothing goes. */
		if (rc < 0 && !(rc == CF_ERR_DAMAGED && strstr(err.text, "nothing is removed")))
			assert_nomem(n, rc, &err);
		repo = fixture_open(&f);
		assert_int_equal(cf_prune_run(repo, &now, &pruned, NULL), 0);
		assert_int_equal(fixture_check(repo, NULL, NULL), 0);
		cf_repo_close(repo);
		for (unsigned d = 1; d < 4; d++)
			assert_whole(&f, &days[d]->id);
		cf_backend_close(f.store);
		f.store = before;
	}
	assert_true(n > 1000);
	repo = fixture_open(&f);
	assert_int_equal(cf_prune_run(repo, &now, &pruned, NULL), 0);
	assert_true(pruned.chunks_rebased > 0);
	cf_repo_close(repo);
	for (unsigned d = 0; d < 4; d++)
		cf_snapshot_free(days[d]);
	fixture_release(&f);
}

/* The fixture's credentials become those of a key that may only write. */
static struct cf_secret *become_writer(struct fixture *f)
{
	const struct cf_slot_about about = {.host = "h", .user = "u", .comment = ""};
	struct cf_secret *secret = NULL, *full = f->key_file;
	struct cf_repo *repo = fixture_open(f);
	char id[33];

	assert_int_equal(cf_secret_copy(cf_span_str("writer writer writer writer write"), &secret, NULL), 0);
	f->credentials.key_file = secret;
	assert_int_equal(cf_key_add(repo, CF_ROLE_WRITE, &f->credentials, &about, id, NULL), 0);
	cf_repo_close(repo);
	f->key_file = secret;
	return full;
}

/* Opening fails cleanly; what is kept or not kept later is a help, and its lack an error where one can be told. */
static void pack_keys_without_memory_are_done_without(void **state)
{
	const struct cf_id pack = {.bytes = {1}};
	const uint8_t key[CF_KEY_LEN] = {2};
	struct cf_temp_folder cache;
	struct cf_secret *full;
	struct fixture f;
	bool reached = true;
	int n;

	fixture_init(&f, 0);
	cf_temp_folder_make(&cache);
	full = become_writer(&f);
	for (n = 0; reached; n++) {
		struct cf_repo *repo = fixture_open_over(&f, fixture_share(f.store), cache.path, NULL);
		struct cf_err err = CF_ERR_INIT;
		uint8_t out[CF_KEY_LEN];
		int rc, got = 0;

		assert_non_null(repo);
		fail_after(n);
		rc = cf_repo_keep_pack_keys(repo, 1, &err);
		if (rc == 0) {
			cf_pack_keys_add(repo->pack_keys, &pack, key);
			got = cf_pack_keys_get(repo->pack_keys, &pack, out, &err);
			cf_pack_keys_sweep(repo->pack_keys);
		}
		reached = failed();
		if (rc < 0 || got < 0)
			assert_nomem(n, rc < 0 ? rc : got, &err);
		else if (got == 1)
			assert_memory_equal(out, key, sizeof(key));
		assert_true(reached || got == 1);
		cf_repo_close(repo);
	}
	assert_true(n > 5);
	cf_temp_folder_remove(&cache);
	cf_secret_free(full);
	fixture_release(&f);
}

static int append_audit(struct fixture *f, struct cf_err *err)
{
	struct cf_audit_record record = {.host = __real_strdup("h"),
					 .user = __real_strdup("u"),
					 .command = __real_strdup("c"),
					 .error = __real_strdup("")};
	struct cf_repo *repo = fixture_open_over(f, fixture_share(f->store), NULL, err);
	int rc = repo ? cf_audit_append(repo, &record, err) : err->code ? err->code : cf_err_nomem(err);

	cf_audit_record_release(&record);
	cf_repo_close(repo);
	return rc;
}

static void count_finding(void *user, const char *object, const char *problem)
{
	(*(unsigned *)user)++;
}

/* *n_out: records and bad ones; *n_found_out: what is wrong with the chain that the snapshot vouches for. */
static int verify_audit(struct cf_repo *repo, const struct cf_snapshot *snapshot, size_t *n_out, size_t *n_bad_out,
			unsigned *n_found_out, struct cf_err *err)
{
	struct cf_audit_anchors anchors = {0};
	struct cf_audit_log log = {0};
	int rc = cf_audit_anchors_add(&anchors, snapshot, err);

	*n_found_out = 0;
	if (rc == 0)
		rc = cf_audit_load(repo, &log, err);
	*n_out = log.n;
	*n_bad_out = log.n_bad;
	for (size_t i = 0; i < log.n_bad; i++)
		assert_true(is_of_jansson(log.bad[i].problem));
	if (rc == 0)
		rc = cf_audit_verify(repo, &log, &anchors, count_finding, n_found_out, err);
	cf_audit_log_release(&log);
	cf_audit_anchors_release(&anchors);
	return rc;
}

static void assert_audit(struct fixture *f, const struct cf_snapshot *snapshot, size_t n_wanted)
{
	struct cf_repo *repo = fixture_open(f);
	struct cf_err err = CF_ERR_INIT;
	unsigned n_found;
	size_t n, n_bad;

	if (verify_audit(repo, snapshot, &n, &n_bad, &n_found, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(n == n_wanted && n_bad == 0 && n_found == 0);
	cf_repo_close(repo);
}

/* A log that a snapshot vouches for, whose newest record it does not know. */
static struct cf_snapshot *begin_audit(struct fixture *f)
{
	struct cf_snapshot *snapshot;
	struct cf_err err = CF_ERR_INIT;

	fixture_init(f, 0);
	assert_int_equal(append_audit(f, &err), 0);
	assert_int_equal(append_audit(f, &err), 0);
	assert_int_equal(backup(f, &snapshot, &err), 0);
	assert_int_equal(append_audit(f, &err), 0);
	return snapshot;
}

/* The record is there or is not, and the chain whole, also when the next one is appended. */
static void audit_append_without_memory_leaves_the_chain_whole(void **state)
{
	struct fixture f;
	struct cf_snapshot *snapshot = begin_audit(&f);
	bool reached = true;
	int n;

	for (n = 0; reached; n++) {
		struct cf_backend *before = f.store;
		struct cf_err err = CF_ERR_INIT;
		int rc;

		assert_int_equal(cf_memory_copy(before, &f.store, NULL), 0);
		fail_after(n);
		rc = append_audit(&f, &err);
		reached = failed();
		if (rc < 0)
			assert_nomem(n, rc, &err);
		assert_audit(&f, snapshot, rc < 0 ? 3 : 4);
		assert_int_equal(append_audit(&f, &err), 0);
		assert_audit(&f, snapshot, rc < 0 ? 4 : 5);
		cf_backend_close(f.store);
		f.store = before;
	}
	assert_true(n > 50);
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

/* No gap is made up: whoever verifies gets an error, or all that is there. */
static void audit_verify_without_memory_finds_nothing_wrong(void **state)
{
	struct fixture f;
	struct cf_snapshot *snapshot = begin_audit(&f);
	struct cf_repo *repo = fixture_open(&f);
	bool reached = true;
	int count;

	for (count = 0; reached; count++) {
		struct cf_err err = CF_ERR_INIT;
		unsigned n_found;
		size_t n, n_bad;
		int rc;

		fail_after(count);
		rc = verify_audit(repo, snapshot, &n, &n_bad, &n_found, &err);
		reached = failed();
		if (rc < 0)
			assert_nomem(count, rc, &err);
		else
			assert_true(n + n_bad == 3 && (n_bad > 0 || n_found == 0));
	}
	assert_true(count > 20);
	cf_repo_close(repo);
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(backup_without_memory_fails_cleanly),
		cmocka_unit_test(restore_without_memory_fails_cleanly),
		cmocka_unit_test(forget_without_memory_fails_cleanly),
		cmocka_unit_test(prune_without_memory_loses_nothing),
		cmocka_unit_test(pack_keys_without_memory_are_done_without),
		cmocka_unit_test(audit_append_without_memory_leaves_the_chain_whole),
		cmocka_unit_test(audit_verify_without_memory_finds_nothing_wrong),
	};
	struct cf_buf text = CF_BUF_INIT;

	source_rows(1, &text, sizeof(rows));
	memcpy(rows, text.data, sizeof(rows));
	cf_buf_release(&text);
	json_set_alloc_funcs(__wrap_malloc, free);
	return cmocka_run_group_tests_name("repo: out of memory", tests, NULL, NULL);
}
