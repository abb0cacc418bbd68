#include "drivers/mysql/manifest_sink.h"

#include "base/err.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A file's handle. Those that are not kept share one. */
struct text {
	struct text *next;
	struct cf_buf content;
};

struct cf_mysql_manifest_sink {
	struct cf_sink base;
	pthread_mutex_t mutex;
	struct text *texts;
	size_t n_texts;
	struct text dropped;
};

static struct cf_mysql_manifest_sink *of(struct cf_sink *sink)
{
	return (struct cf_mysql_manifest_sink *)sink;
}

static int dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
		     unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	*dir_out = (struct cf_dir *)sink;
	return 0;
}

static int dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		   struct cf_err *err)
{
	return 0;
}

static int node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		struct cf_err *err)
{
	return 0;
}

static int file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const struct cf_profile *profile, struct cf_file **file_out,
		      struct cf_err *err)
{
	struct cf_mysql_manifest_sink *self = of(sink);
	struct text *text;

	*file_out = (struct cf_file *)&self->dropped;
	if (strcmp(entry->name, "database.json") != 0)
		return 0;
	text = calloc(1, sizeof(*text));
	if (!text)
		return cf_err_nomem(err);
	pthread_mutex_lock(&self->mutex);
	text->next = self->texts;
	self->texts = text;
	self->n_texts++;
	pthread_mutex_unlock(&self->mutex);
	*file_out = (struct cf_file *)text;
	return 0;
}

static int file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
		      struct cf_err *err)
{
	struct text *text = (struct text *)file;

	return text == &of(sink)->dropped ? 0
					  : cf_buf_append(&text->content, data.data, data.len, err);
}

static int file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	return 0;
}

static int file_share(struct cf_sink *sink, struct cf_file *file, struct cf_file *from,
		      struct cf_err *err)
{
	return 0;
}

static int file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
		    struct cf_err *err)
{
	return 0;
}

static void file_abort(struct cf_sink *sink, struct cf_file *file)
{
}

static int make_link(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		     const char *from, struct cf_err *err)
{
	return 0;
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

struct cf_mysql_manifest_sink *cf_mysql_manifest_sink_new(void)
{
	struct cf_mysql_manifest_sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return NULL;
	sink->base.ops = &ops;
	pthread_mutex_init(&sink->mutex, NULL);
	return sink;
}

void cf_mysql_manifest_sink_free(struct cf_mysql_manifest_sink *sink)
{
	if (!sink)
		return;
	while (sink->texts) {
		struct text *text = sink->texts;

		sink->texts = text->next;
		cf_buf_release(&text->content);
		free(text);
	}
	pthread_mutex_destroy(&sink->mutex);
	free(sink);
}

struct cf_sink *cf_mysql_manifest_sink_base(struct cf_mysql_manifest_sink *sink)
{
	return &sink->base;
}

size_t cf_mysql_manifest_sink_count(const struct cf_mysql_manifest_sink *sink)
{
	return sink->n_texts;
}

struct cf_span cf_mysql_manifest_sink_text(const struct cf_mysql_manifest_sink *sink, size_t index)
{
	const struct text *text = sink->texts;

	while (index-- > 0)
		text = text->next;
	return cf_buf_span(&text->content);
}
