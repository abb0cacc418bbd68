#ifndef CF_TESTS_FUZZ_AGAIN_H
#define CF_TESTS_FUZZ_AGAIN_H

/* What is accepted is written again as something that is accepted, and then comes out the same. */

#include "base/buf.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Decode, and encode what was accepted; false: it was not. */
typedef bool again_fn(struct cf_span in, struct cf_buf *out);

static inline void fuzz_again(again_fn *again, const uint8_t *data, size_t len)
{
	struct cf_buf once = CF_BUF_INIT, twice = CF_BUF_INIT;

	if (again(cf_span_of(data, len), &once) &&
	    (!again(cf_buf_span(&once), &twice) || once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0))
		abort();
	cf_buf_release(&once);
	cf_buf_release(&twice);
}

#endif
