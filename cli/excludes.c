#include "cli/excludes.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/parse.h"
#include "cli/value.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LEN_MAX (64u << 20)

static int add(struct cf_excludes *excludes, const char *text, size_t len, struct cf_err *err)
{
	char *copy;

	if (excludes->n == excludes->capacity) {
		size_t capacity = excludes->capacity ? 2 * excludes->capacity : 16;
		char **items = realloc(excludes->items, capacity * sizeof(*items));

		if (!items)
			return cf_err_nomem(err);
		excludes->items = items;
		excludes->capacity = capacity;
	}
	copy = strndup(text, len);
	if (!copy)
		return cf_err_nomem(err);
	excludes->items[excludes->n++] = copy;
	if (!cf_value_pattern(copy))
		return cf_err_set(err, CF_ERR_USAGE,
				  "the exclude pattern '%s' has a [ without its ]", copy);
	return 0;
}

static int add_line(struct cf_excludes *excludes, const char *line, size_t len, struct cf_err *err)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || line[0] == '#')
		return 0;
	if (len > 1 && line[0] == '\\' && line[1] == '#') {
		line++;
		len--;
	}
	return add(excludes, line, len, err);
}

static int add_file(struct cf_excludes *excludes, const char *path, struct cf_err *err)
{
	struct cf_buf text = CF_BUF_INIT;
	int rc = cf_file_read(AT_FDCWD, path, FILE_LEN_MAX, &text, err);

	if (rc == 0 && memchr(text.data, '\0', text.len))
		rc = cf_err_set(err, CF_ERR_USAGE, "%s is no text: it holds a NUL byte", path);
	for (size_t at = 0; rc == 0 && at < text.len;) {
		const char *line = (const char *)text.data + at;
		const char *newline = memchr(line, '\n', text.len - at);
		size_t len = newline ? (size_t)(newline - line) : text.len - at;

		rc = add_line(excludes, line, len, err);
		at += len + 1;
	}
	cf_buf_release(&text);
	return rc;
}

int cf_excludes_load(const struct cf_args *args, struct cf_excludes *excludes, struct cf_err *err)
{
	const char **patterns = NULL, **files = NULL;
	size_t n_patterns = 0, n_files = 0;
	int rc;

	*excludes = (struct cf_excludes){0};
	rc = cf_args_list(args, CF_OPT_EXCLUDE, &patterns, &n_patterns, err);
	if (rc == 0)
		rc = cf_args_list(args, CF_OPT_EXCLUDE_FROM, &files, &n_files, err);
	for (size_t i = 0; rc == 0 && i < n_patterns; i++)
		rc = add(excludes, patterns[i], strlen(patterns[i]), err);
	for (size_t i = 0; rc == 0 && i < n_files; i++)
		rc = add_file(excludes, files[i], err);
	free(patterns);
	free(files);
	return rc;
}

void cf_excludes_release(struct cf_excludes *excludes)
{
	for (size_t i = 0; i < excludes->n; i++)
		free(excludes->items[i]);
	free(excludes->items);
	*excludes = (struct cf_excludes){0};
}
