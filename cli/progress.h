#ifndef CF_CLI_PROGRESS_H
#define CF_CLI_PROGRESS_H

/* The line that shows how far a command is: figures, a smoothed rate, the time left. No output
 * here. */

#include "base/buf.h"
#include "base/ctx.h"

struct cf_err;

struct cf_progress_state {
	int64_t begin_ns, last_ns; /* monotonic; last_ns 0: nothing measured yet */
	uint64_t last_bytes;
	double rate; /* bytes a second, 0 while unknown */
};

/* Take new figures in. */
void cf_progress_update(struct cf_progress_state *state, const struct cf_progress *figures,
			int64_t now_ns);

/* Append the line, at most `columns` wide. */
int cf_progress_format(const struct cf_progress_state *state, const struct cf_progress *figures,
		       int64_t now_ns, size_t columns, struct cf_buf *out, struct cf_err *err);

#endif
