#include "fuse/views.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int encode_name(const char *text, struct cf_buf *out, struct cf_err *err)
{
	bool is_dots = strcmp(text, ".") == 0 || strcmp(text, "..") == 0;
	int rc = 0;

	cf_buf_clear(out);
	for (; rc == 0 && *text; text++) {
		unsigned char byte = (unsigned char)*text;

		rc = byte < 0x20 || byte == 0x7f || byte == '/' || byte == '%' || is_dots
			     ? cf_buf_printf(out, err, "%%%02X", byte)
			     : cf_buf_append(out, text, 1, err);
	}
	/* A name is at most 255 bytes; what is longer keeps its start. */
	if (rc == 0 && out->len > 255)
		out->len = 255;
	return rc < 0 ? rc : cf_buf_append(out, "", 1, err);
}

/* The texts a snapshot is grouped by: one source, one host, any number of tags. */
static size_t n_texts(const struct cf_snapshot *snapshot, enum cf_view_kind kind)
{
	return kind == CF_VIEW_BY_TAG || kind == CF_VIEW_GROUP_TAG ? snapshot->n_tags : 1;
}

static const char *text_of(const struct cf_snapshot *snapshot, enum cf_view_kind kind, size_t i)
{
	if (kind == CF_VIEW_BY_TAG || kind == CF_VIEW_GROUP_TAG)
		return snapshot->tags[i];
	return kind == CF_VIEW_BY_HOST || kind == CF_VIEW_GROUP_HOST ? snapshot->host : snapshot->source;
}

static int each_of_root(const struct cf_shot_list *list, cf_view_fn *fn, void *user, struct cf_err *err)
{
	static const struct cf_view_item folders[] = {{CF_VIEW_SNAPSHOTS, "snapshots", NULL, NULL},
						      {CF_VIEW_BY_SOURCE, "by-source", NULL, NULL},
						      {CF_VIEW_BY_HOST, "by-host", NULL, NULL},
						      {CF_VIEW_BY_TAG, "by-tag", NULL, NULL}};
	struct cf_view_item latest = {.kind = CF_VIEW_LINK, .name = "latest"};
	char target[128];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(folders) / sizeof(folders[0]); i++)
		rc = fn(user, &folders[i], err);
	if (rc != 0 || list->n == 0)
		return rc;
	latest.shot = list->items[list->n - 1];
	snprintf(target, sizeof(target), "snapshots/%s", latest.shot->name);
	latest.key = target;
	return fn(user, &latest, err);
}

static int each_of_snapshots(const struct cf_shot_list *list, cf_view_fn *fn, void *user, struct cf_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		const struct cf_view_item item = {CF_VIEW_SHOT, list->items[i]->name, NULL, list->items[i]};

		rc = fn(user, &item, err);
	}
	return rc;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The folders of by-source, by-host or by-tag: each text once. */
static int each_group(const struct cf_shot_list *list, enum cf_view_kind kind, cf_view_fn *fn, void *user,
		      struct cf_err *err)
{
	static const enum cf_view_kind groups[] = {[CF_VIEW_BY_SOURCE] = CF_VIEW_GROUP_SOURCE,
						   [CF_VIEW_BY_HOST] = CF_VIEW_GROUP_HOST,
						   [CF_VIEW_BY_TAG] = CF_VIEW_GROUP_TAG};
	struct cf_buf name = CF_BUF_INIT;
	const char **texts;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < list->n; i++)
		n += n_texts(list->items[i]->snapshot, kind);
	texts = malloc((n + 1) * sizeof(*texts));
	if (!texts)
		return cf_err_nomem(err);
	n = 0;
	for (size_t i = 0; i < list->n; i++)
		for (size_t j = 0; j < n_texts(list->items[i]->snapshot, kind); j++)
			texts[n++] = text_of(list->items[i]->snapshot, kind, j);
	qsort(texts, n, sizeof(*texts), compare_texts);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct cf_view_item item = {.kind = groups[kind]};

		if (i > 0 && strcmp(texts[i], texts[i - 1]) == 0)
			continue;
		rc = encode_name(texts[i], &name, err);
		item.name = item.key = (const char *)name.data;
		if (rc == 0)
			rc = fn(user, &item, err);
	}
	cf_buf_release(&name);
	free(texts);
	return rc;
}

static int is_member(const struct cf_snapshot *snapshot, enum cf_view_kind kind, const char *key,
		     struct cf_buf *name, struct cf_err *err)
{
	for (size_t i = 0; i < n_texts(snapshot, kind); i++) {
		int rc = encode_name(text_of(snapshot, kind, i), name, err);

		if (rc < 0)
			return rc;
		if (strcmp((const char *)name->data, key) == 0)
			return 1;
	}
	return 0;
}

static int give_link(struct cf_shot *shot, const char *name, cf_view_fn *fn, void *user, struct cf_err *err)
{
	struct cf_view_item item = {.kind = CF_VIEW_LINK, .name = name, .shot = shot};
	char target[128];

	snprintf(target, sizeof(target), "../../snapshots/%s", shot->name);
	item.key = target;
	return fn(user, &item, err);
}

static int each_of_group(const struct cf_shot_list *list, enum cf_view_kind kind, const char *key, cf_view_fn *fn,
			 void *user, struct cf_err *err)
{
	struct cf_buf name = CF_BUF_INIT;
	struct cf_shot *newest = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < list->n; i++) {
		rc = is_member(list->items[i]->snapshot, kind, key, &name, err);
		if (rc == 1) {
			newest = list->items[i];
			rc = give_link(newest, newest->name, fn, user, err);
		}
	}
	cf_buf_release(&name);
	return rc == 0 && newest ? give_link(newest, "latest", fn, user, err) : rc;
}

int cf_view_each(const struct cf_shot_list *list, enum cf_view_kind kind, const char *key, cf_view_fn *fn,
		 void *user, struct cf_err *err)
{
	switch (kind) {
	case CF_VIEW_ROOT:
		return each_of_root(list, fn, user, err);
	case CF_VIEW_SNAPSHOTS:
		return each_of_snapshots(list, fn, user, err);
	case CF_VIEW_BY_SOURCE:
	case CF_VIEW_BY_HOST:
	case CF_VIEW_BY_TAG:
		return each_group(list, kind, fn, user, err);
	case CF_VIEW_GROUP_SOURCE:
	case CF_VIEW_GROUP_HOST:
	case CF_VIEW_GROUP_TAG:
		return each_of_group(list, kind, key, fn, user, err);
	case CF_VIEW_LINK:
	case CF_VIEW_SHOT:
		break;
	}
	return 0;
}

struct search {
	const char *name;
	cf_view_fn *fn;
	void *user;
};

enum {
	FOUND = 1
};

static int compare_name(void *user, const struct cf_view_item *item, struct cf_err *err)
{
	struct search *search = user;
	int rc;

	if (strcmp(item->name, search->name) != 0)
		return 0;
	rc = search->fn(search->user, item, err);
	return rc < 0 ? rc : FOUND;
}

int cf_view_find(const struct cf_shot_list *list, enum cf_view_kind kind, const char *key, const char *name,
		 cf_view_fn *fn, void *user, struct cf_err *err)
{
	return cf_view_each(list, kind, key, compare_name, &(struct search){name, fn, user}, err);
}
