#ifndef CF_BACKENDS_BACKEND_H
#define CF_BACKENDS_BACKEND_H

/*
 * The storage contract: write-once objects with names, and nothing else.
 *
 * A name is 1 to 4 components of [a-z0-9._-], joined by '/', none starting with a dot:
 * "config", "packs/0f/0f3a...", at most CF_BACKEND_NAME_MAX bytes. An implementation refuses others by
 * CF_ERR_USAGE. A name is never also a folder of another name: a store may refuse "a/b" beside "a".
 *
 * Threads: every function may be called from several threads at once.
 *
 * Wrappers (fault, delay, trace; later retry and limit) are backends with the same table around another.
 * A new backend is finished when it passes tests/suite/backend_suite.h.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;
struct cf_backend;

#define CF_BACKEND_NAME_MAX 255

/* Called once per object; return non-zero to stop the listing, which then returns that value. */
typedef int cf_backend_list_fn(void *user, const char *name, uint64_t size);

enum cf_backend_caps {
	CF_BACKEND_CAN_REMOVE = 1,
	CF_BACKEND_REMOTE = 2 /* high latency: callers cache and prefetch */
};

struct cf_backend_ops {
	/*
	 * Create an object from the parts in order. It appears whole or not at all, and is durable when put
	 * returns 0. CF_ERR_EXISTS when the name is taken (the old object is untouched), CF_ERR_FULL when
	 * space is out. After a failure or a crash the name is absent, or whole; leftovers are invisible
	 * to list.
	 */
	int (*put)(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		   size_t n_parts, struct cf_err *err);

	/*
	 * Append bytes off .. off+len of an object to out; on failure out is unchanged. CF_ERR_NOT_FOUND when it does not exist,
	 * CF_ERR_DAMAGED when it ends before off+len, or when these bytes cannot be read while other objects can (a bad
	 * sector). When nothing can be read the store is gone, and that is CF_ERR_FAILED.
	 */
	int (*get)(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		   struct cf_buf *out, struct cf_err *err);

	/* The size of an object; CF_ERR_NOT_FOUND, CF_ERR_DAMAGED. */
	int (*size)(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err);

	/*
	 * When the store took the object, by the store's own clock, in nanoseconds since 1970; CF_ERR_NOT_FOUND, CF_ERR_DAMAGED.
	 * Only times of one store can be compared, and its clock may have been set meanwhile: nothing may be lost for it.
	 */
	int (*time)(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err);

	/*
	 * Every object below a prefix of whole components ("packs", "packs/0f"; "" is everything), in any
	 * order, each once. A prefix without objects lists nothing and is no error. Objects put or
	 * removed meanwhile may or may not be seen. One whose size cannot be read is listed as empty.
	 */
	int (*list)(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		    struct cf_err *err);

	/* CF_ERR_NOT_FOUND when it was not there. May be NULL: the store cannot delete. */
	int (*remove)(struct cf_backend *backend, const char *name, struct cf_err *err);

	/*
	 * Look again where the store is: what was there may have been removed and put back. For readers alone, since what was put
	 * before need not be there any more. May be NULL: there is nothing that could point elsewhere.
	 */
	int (*rebind)(struct cf_backend *backend, struct cf_err *err);

	void (*close)(struct cf_backend *backend);
};

/* The first member of every backend. */
struct cf_backend {
	const struct cf_backend_ops *ops;
	unsigned caps;
	char *url; /* for messages; freed by close */
};

bool cf_backend_name_valid(const char *name);

/* Shorthands. */
static inline int cf_backend_put(struct cf_backend *b, const char *name, struct cf_span data,
				 struct cf_err *err)
{
	return b->ops->put(b, name, &data, 1, err);
}

/* A whole object, refused by CF_ERR_DAMAGED when longer than max_len. */
int cf_backend_get_all(struct cf_backend *backend, const char *name, size_t max_len, struct cf_buf *out,
		       struct cf_err *err);

/* NULL is harmless. */
void cf_backend_close(struct cf_backend *backend);

/* Open the store a repository URL names: a path or file:PATH is a local folder. create: make the folder.
 * CF_ERR_NOT_FOUND when it does not exist and create is false. */
int cf_backend_open(const char *url, bool create, struct cf_backend **backend_out, struct cf_err *err);

#endif
