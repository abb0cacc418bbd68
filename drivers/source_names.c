#include "drivers/source_names.h"

#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cf_source_names_add(struct cf_source_names *names, char *head, char *tail, struct cf_err *err)
{
	struct cf_source_name *items = head ? realloc(names->items, (names->n + 1) * sizeof(*items)) : NULL;

	if (!items) {
		free(head);
		free(tail);
		return cf_err_nomem(err);
	}
	names->items = items;
	items[names->n++] = (struct cf_source_name){.head = head, .tail = tail};
	return 0;
}

void cf_source_names_release(struct cf_source_names *names)
{
	for (size_t i = 0; i < names->n; i++) {
		free(names->items[i].head);
		free(names->items[i].tail);
	}
	free(names->items);
	*names = (struct cf_source_names){0};
}

bool cf_source_name_fits(const struct cf_source_name *name, const char *listed)
{
	size_t len = strlen(name->head), digits;

	if (!name->tail)
		return strcmp(name->head, listed) == 0;
	if (strncmp(name->head, listed, len) != 0)
		return false;
	digits = strspn(listed + len, "0123456789");
	return digits > 0 && strcmp(listed + len + digits, name->tail) == 0;
}

char *cf_path_source_name(const char *scheme, const char *path)
{
	char *name;

	return asprintf(&name, "%s:%s", scheme, path) < 0 ? NULL : name;
}

/*
 * As realpath(); of a path that is gone since, its folder's, as far up as need be, and what was in it. NULL and errno: ENOMEM, or
 * it means nothing.
 */
static char *resolve(const char *path)
{
	char *found = realpath(path, NULL), *folder, *joined = NULL, *parent;
	size_t len = strlen(path);
	const char *leaf;

	if (found || errno == ENOMEM)
		return found;
	while (len > 1 && path[len - 1] == '/')
		len--;
	for (leaf = path + len; leaf > path && leaf[-1] != '/';)
		leaf--;
	len -= (size_t)(leaf - path);
	/* What "." and ".." of something that is gone were cannot be known. */
	if (len == 0 || (len == 1 && leaf[0] == '.') || (len == 2 && leaf[0] == '.' && leaf[1] == '.')) {
		errno = ENOENT;
		return NULL;
	}
	folder = leaf == path ? strdup(".") : strndup(path, (size_t)(leaf - path));
	parent = folder ? resolve(folder) : NULL;
	if (parent && asprintf(&joined, "%s/%.*s", strcmp(parent, "/") == 0 ? "" : parent, (int)len, leaf) < 0)
		joined = NULL;
	free(folder);
	free(parent);
	return joined;
}

int cf_path_source_names(const char *scheme, const char *path, struct cf_source_names *names, struct cf_err *err)
{
	char *resolved = resolve(path);
	int rc;

	if (!resolved)
		return errno == ENOMEM ? cf_err_nomem(err) : 0;
	rc = cf_source_names_add(names, cf_path_source_name(scheme, resolved), NULL, err);
	free(resolved);
	return rc;
}
