#ifndef CF_BASE_ARRAY_H
#define CF_BASE_ARRAY_H

/* Arrays that grow item by item. */

#include <stddef.h>

struct cf_err;

/* Make room for one more item in an array of n. array: the address of the pointer to the first item, NULL at first; it and *capacity
 * stay as they are on failure. */
int cf_array_grow(void *array, size_t *capacity, size_t n, size_t item_len, struct cf_err *err);

#endif
