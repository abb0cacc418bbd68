#include "drivers/compare.h"

#include "base/err.h"
#include "base/tree.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the tree's file, read at a time. */
#define WINDOW_LEN (1024 * 1024)

struct compare {
	struct cf_sink sink;
	struct cf_tree *tree;
	struct cf_compare_options options;
	pthread_mutex_t
		lock; /* callbacks, n_differences, open handles, and the names of directories */
	uint64_t n_differences;
	struct handle *open; /* a producer that fails leaves some behind */
};

/* What a directory and a file have in common. */
struct handle {
	struct handle *next, **place;
	void (*release)(struct handle *handle); /* what only one of them has */
	char *path;
	bool settled; /* nothing (more) is compared: ignored, not in the tree, or different already
		       */
};

/* A pushed directory. */
struct folder {
	struct handle handle;
	char **names; /* pushed */
	size_t n_names, capacity;
};

/* A pushed file. */
struct content {
	struct handle handle;
	uint64_t off, size; /* of what was pushed; of the tree's file */
	struct cf_buf window;
	size_t at;		/* in the window: the byte at off */
	struct content *sharer; /* NULL, or the file whose next bytes these are, too */
};

static struct compare *of_sink(struct cf_sink *sink)
{
	return (struct compare *)sink;
}

static bool is_ignored(struct compare *compare, const char *path)
{
	return compare->options.ignore && compare->options.ignore(compare->options.user, path);
}

static void report(struct compare *compare, const char *path, enum cf_difference_kind kind,
		   uint64_t off)
{
	struct cf_difference difference = {.path = path, .kind = kind, .off = off};

	pthread_mutex_lock(&compare->lock);
	compare->n_differences++;
	compare->options.differs(compare->options.user, &difference);
	pthread_mutex_unlock(&compare->lock);
}

static void *open_handle(struct compare *compare, size_t size, void (*release)(struct handle *),
			 struct cf_err *err)
{
	struct handle *handle = calloc(1, size);

	if (!handle) {
		cf_err_nomem(err);
		return NULL;
	}
	handle->release = release;
	pthread_mutex_lock(&compare->lock);
	handle->next = compare->open;
	handle->place = &compare->open;
	if (handle->next)
		handle->next->place = &handle->next;
	compare->open = handle;
	pthread_mutex_unlock(&compare->lock);
	return handle;
}

static void close_handle(struct compare *compare, struct handle *handle)
{
	pthread_mutex_lock(&compare->lock);
	*handle->place = handle->next;
	if (handle->next)
		handle->next->place = handle->place;
	pthread_mutex_unlock(&compare->lock);
	handle->release(handle);
	free(handle->path);
	free(handle);
}

static char *join(const char *folder, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s%s%s", folder, folder[0] ? "/" : "", name) < 0 ? NULL : path;
}

static int add_name(struct compare *compare, struct folder *folder, const char *name,
		    struct cf_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&compare->lock);
	if (folder->n_names == folder->capacity) {
		size_t capacity = folder->capacity ? 2 * folder->capacity : 16;
		char **names = realloc(folder->names, capacity * sizeof(*names));

		if (names) {
			folder->names = names;
			folder->capacity = capacity;
		} else {
			rc = cf_err_nomem(err);
		}
	}
	if (rc == 0) {
		folder->names[folder->n_names] = strdup(name);
		if (folder->names[folder->n_names])
			folder->n_names++;
		else
			rc = cf_err_nomem(err);
	}
	pthread_mutex_unlock(&compare->lock);
	return rc;
}

/*
 * Note that an entry was pushed and find it in the tree: *entry_out is NULL, and nothing more is to
 * be compared, when it is ignored, within what is settled, not there or of another type. Both
 * outputs are the caller's to free.
 */
static int meet(struct compare *compare, struct folder *folder, const struct cf_entry *pushed,
		char **path_out, struct cf_entry **entry_out, struct cf_err *err)
{
	struct cf_entry *entry = NULL;
	char *path = join(folder ? folder->handle.path : "", pushed->name);
	int rc = path ? 0 : cf_err_nomem(err);

	*path_out = path;
	*entry_out = NULL;
	if (rc == 0 && folder)
		rc = add_name(compare, folder, pushed->name, err);
	if (rc < 0 || (folder && folder->handle.settled) || is_ignored(compare, path))
		return rc;
	rc = compare->tree->ops->find(compare->tree, path, &entry, err);
	if (rc == CF_ERR_NOT_FOUND) {
		cf_err_clear(err);
		report(compare, path, CF_DIFFERENCE_EXTRA, 0);
		return 0;
	}
	if (rc == 0 && entry->type != pushed->type) {
		report(compare, path, CF_DIFFERENCE_TYPE, 0);
		free(entry);
		entry = NULL;
	}
	*entry_out = entry;
	return rc;
}

static void release_folder(struct handle *handle)
{
	struct folder *folder = (struct folder *)handle;

	for (size_t i = 0; i < folder->n_names; i++)
		free(folder->names[i]);
	free(folder->names);
}

static int dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *pushed,
		     unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	struct folder *folder = open_handle(of_sink(sink), sizeof(*folder), release_folder, err);
	struct cf_entry *entry = NULL;
	int rc;

	if (!folder)
		return CF_ERR_NOMEM;
	rc = meet(of_sink(sink), (struct folder *)parent, pushed, &folder->handle.path, &entry,
		  err);
	folder->handle.settled = !entry;
	free(entry);
	*dir_out = (struct cf_dir *)folder;
	return rc;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* While the names of one directory of the tree are held against those pushed. */
struct missing {
	struct compare *compare;
	const struct folder *folder;
};

static int look_for(void *user, const struct cf_entry *entry, struct cf_err *err)
{
	struct missing *missing = user;
	const struct folder *folder = missing->folder;
	char *path;

	if (folder->n_names > 0 &&
	    bsearch(&entry->name, folder->names, folder->n_names, sizeof(*folder->names), by_name))
		return 0;
	path = join(folder->handle.path, entry->name);
	if (!path)
		return cf_err_nomem(err);
	if (!is_ignored(missing->compare, path))
		report(missing->compare, path, CF_DIFFERENCE_MISSING, 0);
	free(path);
	return 0;
}

static int dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		   struct cf_err *err)
{
	struct compare *compare = of_sink(sink);
	struct folder *folder = (struct folder *)dir;
	struct missing missing = {.compare = compare, .folder = folder};
	int rc = 0;

	if (folder->n_names > 0)
		qsort(folder->names, folder->n_names, sizeof(*folder->names), by_name);
	if (!folder->handle.settled)
		rc = compare->tree->ops->list(compare->tree, folder->handle.path, look_for,
					      &missing, err);
	close_handle(compare, &folder->handle);
	return rc;
}

static int node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *pushed,
		struct cf_err *err)
{
	struct cf_entry *entry = NULL;
	char *path = NULL;
	int rc = meet(of_sink(sink), (struct folder *)dir, pushed, &path, &entry, err);

	if (rc == 0 && entry && entry->type == CF_ENTRY_SYMLINK &&
	    strcmp(entry->target, pushed->target) != 0)
		report(of_sink(sink), path, CF_DIFFERENCE_CONTENT, 0);
	free(entry);
	free(path);
	return rc;
}

static void release_content(struct handle *handle)
{
	cf_buf_release(&((struct content *)handle)->window);
}

static int new_content(struct compare *compare, struct folder *folder,
		       const struct cf_entry *pushed, struct content **content_out,
		       struct cf_err *err)
{
	struct content *content = open_handle(compare, sizeof(*content), release_content, err);
	struct cf_entry *entry = NULL;
	int rc;

	if (!content)
		return CF_ERR_NOMEM;
	rc = meet(compare, folder, pushed, &content->handle.path, &entry, err);
	content->handle.settled = !entry;
	content->size = entry ? entry->size : 0;
	free(entry);
	*content_out = content;
	return rc;
}

static void settle(struct compare *compare, struct content *content, enum cf_difference_kind kind,
		   uint64_t off)
{
	content->handle.settled = true;
	cf_buf_release(&content->window);
	report(compare, content->handle.path, kind, off);
}

static int append_piece(void *user, struct cf_span data, struct cf_err *err)
{
	return cf_buf_append(user, data.data, data.len, err);
}

/* The tree's next bytes. */
static int fill_window(struct compare *compare, struct content *content, struct cf_err *err)
{
	int rc;

	cf_buf_clear(&content->window);
	content->at = 0;
	rc = compare->tree->ops->read(compare->tree, content->handle.path, content->off, WINDOW_LEN,
				      append_piece, &content->window, err);
	if (rc == 0 && content->window.len == 0)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%s ends before its size",
				content->handle.path);
	return rc;
}

static size_t first_difference(const uint8_t *a, const uint8_t *b)
{
	size_t i = 0;

	while (a[i] == b[i])
		i++;
	return i;
}

static int compare_bytes(struct compare *compare, struct content *content, struct cf_span data,
			 struct cf_err *err)
{
	while (data.len > 0 && !content->handle.settled) {
		const uint8_t *expected;
		size_t n;

		if (content->off >= content->size) {
			settle(compare, content, CF_DIFFERENCE_SIZE, content->off);
			break;
		}
		if (content->at == content->window.len) {
			int rc = fill_window(compare, content, err);

			if (rc < 0)
				return rc;
		}
		n = content->window.len - content->at;
		n = n < data.len ? n : data.len;
		expected = content->window.data + content->at;
		if (memcmp(expected, data.data, n) != 0) {
			settle(compare, content, CF_DIFFERENCE_CONTENT,
			       content->off + first_difference(expected, data.data));
			break;
		}
		content->off += n;
		content->at += n;
		data = cf_span_of(data.data + n, data.len - n);
	}
	return 0;
}

static int file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const struct cf_profile *profile, struct cf_file **file_out,
		      struct cf_err *err)
{
	struct content *content = NULL;
	int rc = new_content(of_sink(sink), (struct folder *)dir, entry, &content, err);

	*file_out = (struct cf_file *)content;
	return rc;
}

static int file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
		      struct cf_err *err)
{
	struct content *content = (struct content *)file;
	int rc = compare_bytes(of_sink(sink), content, data, err);

	if (rc == 0 && content->sharer)
		rc = compare_bytes(of_sink(sink), content->sharer, data, err);
	return rc;
}

static int file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	static const uint8_t zeros[64 * 1024];
	int rc = 0;

	while (rc == 0 && len > 0) {
		size_t n = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

		rc = file_write(sink, file, cf_span_of(zeros, n), err);
		len -= n;
	}
	return rc;
}

static int file_share(struct cf_sink *sink, struct cf_file *file, struct cf_file *from,
		      struct cf_err *err)
{
	struct content *content = (struct content *)from;

	assert(!content->sharer && content->off == 0);
	content->sharer = (struct content *)file;
	return 0;
}

static void finish(struct compare *compare, struct content *content)
{
	if (!content->handle.settled && content->off < content->size)
		settle(compare, content, CF_DIFFERENCE_SIZE, content->off);
	if (content->handle.settled || !compare->options.equals)
		return;
	pthread_mutex_lock(&compare->lock);
	compare->options.equals(compare->options.user, content->handle.path, content->size);
	pthread_mutex_unlock(&compare->lock);
}

static int file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
		    struct cf_err *err)
{
	struct content *content = (struct content *)file;

	finish(of_sink(sink), content);
	close_handle(of_sink(sink), &content->handle);
	return 0;
}

static void file_abort(struct cf_sink *sink, struct cf_file *file)
{
	struct content *content = (struct content *)file;

	if (!content->handle.settled)
		report(of_sink(sink), content->handle.path, CF_DIFFERENCE_MISSING, 0);
	close_handle(of_sink(sink), &content->handle);
}

/* While the content of another of the tree's files is taken for that of a link. */
struct linking {
	struct compare *compare;
	struct content *content;
};

static int compare_piece(void *user, struct cf_span data, struct cf_err *err)
{
	struct linking *linking = user;
	int rc = compare_bytes(linking->compare, linking->content, data, err);

	return rc == 0 && linking->content->handle.settled ? 1 : rc;
}

static int make_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		     const char *from, struct cf_err *err)
{
	struct linking linking = {.compare = of_sink(sink)};
	struct cf_tree *tree = linking.compare->tree;
	int rc = new_content(linking.compare, (struct folder *)dir, entry, &linking.content, err);

	if (rc < 0)
		return rc;
	if (!linking.content->handle.settled)
		rc = tree->ops->read(tree, from, 0, UINT64_MAX, compare_piece, &linking, err);
	if (rc >= 0)
		finish(linking.compare, linking.content);
	close_handle(linking.compare, &linking.content->handle);
	return rc < 0 ? rc : 0;
}

static const struct cf_sink_ops ops = {
	.dir_begin = dir_begin,
	.dir_end = dir_end,
	.node = node,
	.file_begin = file_begin,
	.file_write = file_write,
	.file_hole = file_hole,
	.file_share = file_share,
	.file_end = file_end,
	.file_abort = file_abort,
	.link = make_link,
};

int cf_compare_new(struct cf_tree *tree, const struct cf_compare_options *options,
		   struct cf_sink **sink_out, struct cf_err *err)
{
	struct compare *compare = calloc(1, sizeof(*compare));

	if (!compare)
		return cf_err_nomem(err);
	compare->sink.ops = &ops;
	compare->tree = tree;
	compare->options = *options;
	pthread_mutex_init(&compare->lock, NULL);
	*sink_out = &compare->sink;
	return 0;
}

void cf_compare_free(struct cf_sink *sink)
{
	if (!sink)
		return;
	while (of_sink(sink)->open)
		close_handle(of_sink(sink), of_sink(sink)->open);
	pthread_mutex_destroy(&of_sink(sink)->lock);
	free(sink);
}

uint64_t cf_compare_differences(const struct cf_sink *sink)
{
	return ((const struct compare *)sink)->n_differences;
}

struct cf_difference_text cf_difference_text(const struct cf_difference *difference)
{
	struct cf_difference_text text = {""};

	switch (difference->kind) {
	case CF_DIFFERENCE_MISSING:
		strcpy(text.s, "is missing");
		break;
	case CF_DIFFERENCE_EXTRA:
		strcpy(text.s, "is not in the snapshot");
		break;
	case CF_DIFFERENCE_TYPE:
		strcpy(text.s, "has another type than in the snapshot");
		break;
	case CF_DIFFERENCE_CONTENT:
		snprintf(text.s, sizeof(text.s), "differs from byte %" PRIu64, difference->off);
		break;
	case CF_DIFFERENCE_SIZE:
		snprintf(text.s, sizeof(text.s), "has another length: the same up to byte %" PRIu64,
			 difference->off);
		break;
	}
	return text;
}
