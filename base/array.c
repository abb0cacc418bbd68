#include "base/array.h"

#include "base/err.h"

#include <stdlib.h>

enum {
	FIRST_CAPACITY = 64
};

int cf_array_grow(void *array, size_t *capacity, size_t n, size_t item_len, struct cf_err *err)
{
	size_t wanted = *capacity ? 2 * *capacity : FIRST_CAPACITY;
	void **at = array, *more;

	if (n < *capacity)
		return 0;
	more = realloc(*at, wanted * item_len);
	if (!more)
		return cf_err_nomem(err);
	*at = more;
	*capacity = wanted;
	return 0;
}
