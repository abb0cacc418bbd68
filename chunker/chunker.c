/*
 * The common part of cutting: the length limits, and which rule decides between them.
 *
 * A rule sees at most max bytes and says where the first cut is, so that what lies behind max, or
 * how much of it is there, cannot have a part in the answer.
 */

#include "chunker/chunker.h"
#include "chunker/rules.h"

#include <assert.h>

size_t cf_chunker_cut(const struct cf_chunker *chunker, const uint8_t *data, size_t len, bool end)
{
	assert(chunker->min >= 1 && chunker->min <= chunker->nominal &&
	       chunker->nominal <= chunker->max);
	assert(chunker->kind == CF_CHUNKER_FIXED || chunker->min >= 64);
	assert(end || len >= chunker->max);

	if (len > chunker->max)
		len = chunker->max;
	if (len <= chunker->min)
		return len;
	switch (chunker->kind) {
	case CF_CHUNKER_FIXED:
		break;
	case CF_CHUNKER_VG16:
		return cf_vg16_cut(chunker, data, len);
	case CF_CHUNKER_PRF16:
		return cf_prf16_cut(chunker, data, len);
	}
	return len;
}
