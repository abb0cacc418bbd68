#ifndef CF_BACKENDS_TRACE_H
#define CF_BACKENDS_TRACE_H

/* A wrapper that counts calls and bytes, and can write a line per call. */

#include "backends/wrap.h"

struct cf_trace_counts {
	struct {
		uint64_t n_calls;
		uint64_t n_failed; /* those with a negative result */
		uint64_t bytes;    /* that put and get moved when they succeeded */
	} of[CF_CALL_KINDS];
};

/* One line without a newline, borrowed for the call: "get packs/0f/0f3a 100+4096: ok, 0.213 ms". Called from
 * the thread of the call. */
typedef void cf_trace_line_fn(void *user, const char *line);

/* Takes inner over when it succeeds. line NULL: only count. */
int cf_trace_new(struct cf_backend *inner, cf_trace_line_fn *line, void *user,
		 struct cf_backend **backend_out, struct cf_err *err);

struct cf_trace_counts cf_trace_counts(struct cf_backend *trace);
void cf_trace_reset(struct cf_backend *trace);

#endif
