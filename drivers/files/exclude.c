#include "drivers/files/exclude.h"

#include "base/err.h"

#include <fnmatch.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A pattern cut at its slashes: `text` holds the parts one behind the other, each ended by NUL. */
struct pattern {
	char *text;
	const char **parts;
	size_t n_parts;
	bool negated, dirs_only, anchored;
};

struct cf_exclude {
	struct pattern *patterns;
	size_t n_patterns;
};

static bool is_any_depth(const char *part)
{
	return strcmp(part, "**") == 0;
}

/* Empty parts ("a//b") and "." mean nothing and go; repeated "**" mean the same as one. */
static void cut_parts(struct pattern *p)
{
	char *rest = NULL;

	for (char *part = strtok_r(p->text, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (p->n_parts > 0 && is_any_depth(part) && is_any_depth(p->parts[p->n_parts - 1]))
			continue;
		p->parts[p->n_parts++] = part;
	}
}

static int parse_pattern(struct pattern *p, const char *text, struct cf_err *err)
{
	const char *from = text;
	size_t len;

	if (*from == '!') {
		p->negated = true;
		from++;
	}
	len = strlen(from);
	p->dirs_only = len > 0 && from[len - 1] == '/';
	while (len > 0 && from[len - 1] == '/')
		len--;
	p->anchored = memchr(from, '/', len) != NULL;
	p->text = strndup(from, len);
	p->parts = calloc(len / 2 + 1, sizeof(*p->parts));
	if (!p->text || !p->parts)
		return cf_err_nomem(err);
	cut_parts(p);
	if (p->n_parts == 0)
		return cf_err_set(err, CF_ERR_USAGE, "the exclude pattern \"%s\" is empty", text);
	return 0;
}

int cf_exclude_new(const char *const *patterns, size_t n_patterns, struct cf_exclude **exclude_out,
		   struct cf_err *err)
{
	struct cf_exclude *exclude = calloc(1, sizeof(*exclude));
	int rc = 0;

	if (exclude)
		exclude->patterns = calloc(n_patterns + 1, sizeof(*exclude->patterns));
	if (!exclude || !exclude->patterns) {
		rc = cf_err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < n_patterns && rc == 0; i++) {
		exclude->n_patterns++;
		rc = parse_pattern(&exclude->patterns[i], patterns[i], err);
	}
	if (rc < 0)
		goto out;
	*exclude_out = exclude;
	exclude = NULL;
out:
	cf_exclude_free(exclude);
	return rc;
}

void cf_exclude_free(struct cf_exclude *exclude)
{
	if (!exclude)
		return;
	for (size_t i = 0; i < exclude->n_patterns; i++) {
		free(exclude->patterns[i].text);
		free(exclude->patterns[i].parts);
	}
	free(exclude->patterns);
	free(exclude);
}

/* One part of a path against one part of a pattern. fnmatch wants an end, so the part is copied: a
 * name longer than any file system has matches nothing. */
#define PART_MAX 1024

static bool match_part(const char *part, const char *name, size_t len)
{
	char text[PART_MAX];

	if (len >= sizeof(text))
		return false;
	memcpy(text, name, len);
	text[len] = '\0';
	return fnmatch(part, text, 0) == 0;
}

/*
 * Part by part. At "**" the place in both is noted; when a later part fails, the "**" takes in one
 * part of the path more and matching goes on behind it. Only the last "**" needs to be noted, as
 * with '*' in a name.
 */
static bool match_path(const struct pattern *p, const char *path)
{
	size_t i = 0, star = SIZE_MAX;
	const char *star_path = NULL;

	while (*path) {
		size_t len = strcspn(path, "/");
		const char *next = path + len + (path[len] == '/');

		if (i < p->n_parts && is_any_depth(p->parts[i])) {
			if (i + 1 == p->n_parts)
				return true;
			star = i++;
			star_path = path;
		} else if (i < p->n_parts && match_part(p->parts[i], path, len)) {
			i++;
			path = next;
		} else if (star != SIZE_MAX) {
			len = strcspn(star_path, "/");
			star_path += len + (star_path[len] == '/');
			path = star_path;
			i = star + 1;
		} else {
			return false;
		}
	}
	return i == p->n_parts;
}

static bool match_pattern(const struct pattern *p, const char *path, const char *name, bool is_dir)
{
	if (p->dirs_only && !is_dir)
		return false;
	if (!p->anchored)
		return match_part(p->parts[0], name, strlen(name));
	return match_path(p, path);
}

bool cf_exclude_match(const struct cf_exclude *exclude, const char *path, bool is_dir)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	for (size_t i = exclude->n_patterns; i-- > 0;)
		if (match_pattern(&exclude->patterns[i], path, name, is_dir))
			return !exclude->patterns[i].negated;
	return false;
}
