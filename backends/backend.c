#include "backends/backend.h"

#include "backends/local.h"
#include "base/err.h"

#include <string.h>

#define MAX_COMPONENTS 4

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool cf_backend_name_valid(const char *name)
{
	size_t n_components = 1, len = 0, i;

	for (i = 0; name[i] != '\0' && i <= CF_BACKEND_NAME_MAX; i++) {
		if (name[i] == '/') {
			if (len == 0)
				return false;
			n_components++;
			len = 0;
			continue;
		}
		if (!is_name_char(name[i]) || (len == 0 && name[i] == '.'))
			return false;
		len++;
	}
	return len > 0 && i <= CF_BACKEND_NAME_MAX && n_components <= MAX_COMPONENTS;
}

int cf_backend_get_all(struct cf_backend *backend, const char *name, size_t max_len, struct cf_buf *out,
		       struct cf_err *err)
{
	uint64_t size;
	int rc = backend->ops->size(backend, name, &size, err);

	if (rc < 0)
		return rc;
	if (size > max_len)
		return cf_err_set(err, CF_ERR_DAMAGED, "%s/%s has %llu bytes, expected at most %zu",
				  backend->url, name, (unsigned long long)size, max_len);
	return backend->ops->get(backend, name, 0, (size_t)size, out, err);
}

void cf_backend_close(struct cf_backend *backend)
{
	if (backend)
		backend->ops->close(backend);
}

/* The length of the scheme a URL starts with, or 0: "s3" in "s3:bucket". A path with a colon in its first
 * component has to be written with "./" or "file:" before it. */
static size_t scheme_len(const char *url)
{
	size_t len = strcspn(url, ":/");

	return url[len] == ':' ? len : 0;
}

int cf_backend_open(const char *url, bool create, struct cf_backend **backend_out, struct cf_err *err)
{
	size_t len = scheme_len(url);
	const char *path = url;

	if (len == 4 && strncmp(url, "file", 4) == 0) {
		path = url + 5;
		if (strncmp(path, "///", 3) == 0)
			path += 2;
		else if (strncmp(path, "//", 2) == 0)
			return cf_err_set(err, CF_ERR_USAGE,
					  "%s: a file URL with a host; write file:PATH or file:///PATH", url);
	} else if (len > 0) {
		return cf_err_set(err, CF_ERR_UNSUPPORTED,
				  "%s: this build has no storage called \"%.*s\" (a path? write ./%s)", url,
				  (int)len, url, url);
	}
	if (path[0] == '\0')
		return cf_err_set(err, CF_ERR_USAGE, "\"%s\" names no folder", url);
	return cf_local_open(path, create, backend_out, err);
}
