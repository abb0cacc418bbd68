#include "backends/wrap.h"

#include "base/err.h"

#include <stdlib.h>
#include <string.h>

const char *cf_wrap_call_name(enum cf_call call)
{
	static const char *const names[] = {"put", "get", "size", "time", "list", "remove", "any"};

	return names[call];
}

void *cf_wrap_new(size_t size, const struct cf_backend_ops *ops, struct cf_backend *inner,
		  struct cf_err *err)
{
	struct cf_wrap *wrap = calloc(1, size);
	char *url = strdup(inner->url);

	if (!wrap || !url) {
		free(wrap);
		free(url);
		cf_err_nomem(err);
		return NULL;
	}
	wrap->base = (struct cf_backend){.ops = ops, .caps = inner->caps, .url = url};
	wrap->inner = inner;
	return wrap;
}

void cf_wrap_close(struct cf_backend *backend)
{
	struct cf_wrap *wrap = (struct cf_wrap *)backend;

	cf_backend_close(wrap->inner);
	free(wrap->base.url);
	free(wrap);
}

struct cf_backend *cf_wrap_inner(struct cf_backend *backend)
{
	return ((struct cf_wrap *)backend)->inner;
}

int cf_wrap_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	if (!inner->ops->remove)
		return cf_err_set(err, CF_ERR_UNSUPPORTED, "%s cannot remove objects", inner->url);
	return inner->ops->remove(inner, name, err);
}
