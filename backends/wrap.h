#ifndef CF_BACKENDS_WRAP_H
#define CF_BACKENDS_WRAP_H

/* What wrappers have in common: they hold another backend, own it, and look like it. */

#include "backends/backend.h"

/* The kinds of calls a wrapper counts. */
enum cf_call {
	CF_CALL_PUT,
	CF_CALL_GET,
	CF_CALL_SIZE,
	CF_CALL_TIME,
	CF_CALL_LIST,
	CF_CALL_REMOVE,
	CF_CALL_KINDS,
	CF_CALL_ANY = CF_CALL_KINDS
};

/* The first member of every wrapper. */
struct cf_wrap {
	struct cf_backend base;
	struct cf_backend *inner;
};

/* "put", "get", "size", "list", "remove". */
const char *cf_wrap_call_name(enum cf_call call);

/* `size` zero bytes that start with a cf_wrap around inner, with its URL and caps; NULL when memory is out
 * (inner stays the caller's). */
void *cf_wrap_new(size_t size, const struct cf_backend_ops *ops, struct cf_backend *inner,
		  struct cf_err *err);

/* Close inner and free the wrapper. */
void cf_wrap_close(struct cf_backend *backend);

/* Calls of the inner backend. remove gives CF_ERR_UNSUPPORTED when it has none. */
struct cf_backend *cf_wrap_inner(struct cf_backend *backend);
int cf_wrap_remove(struct cf_backend *backend, const char *name, struct cf_err *err);

#endif
