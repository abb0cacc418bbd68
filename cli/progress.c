#include "cli/progress.h"

#include "cli/output.h"

#define NS_PER_S 1e9
/* Seconds over which the rate is averaged: steady to read, and quick enough to show a stall. */
#define SMOOTH_S 5.0

void cf_progress_update(struct cf_progress_state *state, const struct cf_progress *figures,
			int64_t now_ns)
{
	double seconds, rate, weight;

	if (state->last_ns == 0 || figures->bytes_done < state->last_bytes) {
		*state = (struct cf_progress_state){
			.begin_ns = now_ns, .last_ns = now_ns, .last_bytes = figures->bytes_done};
		return;
	}
	seconds = (double)(now_ns - state->last_ns) / NS_PER_S;
	if (seconds < 0.05)
		return;
	rate = (double)(figures->bytes_done - state->last_bytes) / seconds;
	weight = state->rate > 0 ? seconds / (seconds + SMOOTH_S) : 1;
	state->rate += (rate - state->rate) * weight;
	state->last_ns = now_ns;
	state->last_bytes = figures->bytes_done;
}

static uint64_t time_left_ns(const struct cf_progress_state *state,
			     const struct cf_progress *figures)
{
	if (state->rate <= 0 || figures->bytes_total <= figures->bytes_done)
		return 0;
	return (uint64_t)((double)(figures->bytes_total - figures->bytes_done) / state->rate *
			  NS_PER_S);
}

int cf_progress_format(const struct cf_progress_state *state, const struct cf_progress *figures,
		       int64_t now_ns, size_t columns, struct cf_buf *out, struct cf_err *err)
{
	size_t start = out->len;
	uint64_t left_ns = time_left_ns(state, figures);
	int rc = cf_buf_append_str(out, cf_text_size(figures->bytes_done).s, err);

	if (rc == 0 && figures->bytes_total > 0)
		rc = cf_buf_printf(out, err, " of %s (%s)", cf_text_size(figures->bytes_total).s,
				   cf_text_share(figures->bytes_done, figures->bytes_total).s);
	if (rc == 0 && state->rate > 0)
		rc = cf_buf_printf(out, err, ", %s",
				   cf_text_rate((uint64_t)state->rate, 1000000000).s);
	if (rc == 0 && left_ns > 0)
		rc = cf_buf_printf(out, err, ", ETA %s", cf_text_duration(left_ns).s);
	else if (rc == 0)
		rc = cf_buf_printf(out, err, ", %s",
				   cf_text_duration((uint64_t)(now_ns - state->begin_ns)).s);
	/* More than were expected: it was a guess. */
	if (rc == 0 && figures->items_total > 0 && figures->items_done <= figures->items_total)
		rc = cf_buf_printf(out, err, ", %llu of %s",
				   (unsigned long long)figures->items_done,
				   cf_text_count(figures->items_total, "item", "items").s);
	else if (rc == 0 && figures->items_done > 0)
		rc = cf_buf_printf(out, err, ", %s",
				   cf_text_count(figures->items_done, "item", "items").s);
	if (rc == 0 && figures->bytes_stored > 0)
		rc = cf_buf_printf(out, err, ", stored %s", cf_text_size(figures->bytes_stored).s);
	if (rc == 0 && out->len - start > columns)
		out->len = start + columns;
	return rc;
}
