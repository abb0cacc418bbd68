#include "tests/suite/sink_recorder.h"

#include "base/err.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The handles are the records themselves. */
static struct cf_recorded *of_dir(struct cf_dir *dir)
{
	struct cf_recorded *r = (struct cf_recorded *)dir;

	assert(r && r->entry->type == CF_ENTRY_DIR && !r->ended);
	return r;
}

static struct cf_recorded *of_file(struct cf_file *file)
{
	struct cf_recorded *r = (struct cf_recorded *)file;

	assert(r && r->entry->type == CF_ENTRY_FILE && r->wanted && !r->ended);
	return r;
}

static struct cf_sink_recorder *enter(struct cf_sink *sink)
{
	struct cf_sink_recorder *recorder = (struct cf_sink_recorder *)sink;

	pthread_mutex_lock(&recorder->lock);
	return recorder;
}

static int leave(struct cf_sink_recorder *recorder, int rc)
{
	pthread_mutex_unlock(&recorder->lock);
	return rc;
}

/* Outside the lock: a hook may take its time, or look into the recorder. */
static int call_hook(struct cf_sink *sink, enum cf_recorder_step step, const struct cf_entry *entry,
		     struct cf_err *err)
{
	struct cf_sink_recorder *recorder = (struct cf_sink_recorder *)sink;

	return recorder->hook ? recorder->hook(recorder->user, step, entry, err) : 0;
}

static struct cf_recorded *child_of(const struct cf_recorded *dir, const char *name, size_t len)
{
	for (struct cf_recorded *r = dir->first_child; r; r = r->next)
		if (strlen(r->entry->name) == len && memcmp(r->entry->name, name, len) == 0)
			return r;
	return NULL;
}

static void put_in_dir(struct cf_recorded *dir, struct cf_recorded *r)
{
	if (dir->last_child)
		dir->last_child->next = r;
	else
		dir->first_child = r;
	dir->last_child = r;
	r->parent = dir;
	dir->n_children++;
}

static void take_from_dir(struct cf_recorded *dir, struct cf_recorded *r)
{
	struct cf_recorded **at = &dir->first_child, *before = NULL;

	while (*at != r) {
		before = *at;
		at = &before->next;
	}
	*at = r->next;
	if (dir->last_child == r)
		dir->last_child = before;
	dir->n_children--;
}

/* A name that comes again replaces the earlier one, as in an archive that was appended to. */
static void check_place(struct cf_recorded *dir, const struct cf_entry *entry)
{
	struct cf_recorded *earlier;

	assert(cf_entry_name_valid(entry->name));
	if (dir->dir_flags & CF_DIR_SORTED) {
		assert(!dir->last_child || strcmp(dir->last_child->entry->name, entry->name) < 0);
		return;
	}
	earlier = child_of(dir, entry->name, strlen(entry->name));
	if (earlier) {
		assert(earlier->ended);
		take_from_dir(dir, earlier);
	}
}

static int add_entry(struct cf_sink_recorder *recorder, struct cf_recorded *dir,
		     const struct cf_entry *entry, struct cf_recorded **out, struct cf_err *err)
{
	struct cf_recorded *r = calloc(1, sizeof(*r));

	if (r)
		r->entry = cf_entry_dup(entry);
	if (!r || !r->entry) {
		free(r);
		return cf_err_nomem(err);
	}
	if (dir) {
		check_place(dir, entry);
		put_in_dir(dir, r);
	}
	r->all_next = recorder->all;
	recorder->all = r;
	*out = r;
	return 0;
}

/* The name and type an entry began with are its own for good. */
static int set_final(struct cf_recorded *r, const struct cf_entry *entry, struct cf_err *err)
{
	struct cf_entry *copy;

	if (!entry)
		return 0;
	assert(entry->type == r->entry->type && strcmp(entry->name, r->entry->name) == 0);
	copy = cf_entry_dup(entry);
	if (!copy)
		return cf_err_nomem(err);
	free(r->entry);
	r->entry = copy;
	return 0;
}

static int dir_begin(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
		     unsigned flags, struct cf_dir **dir_out, struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_DIR_BEGIN, entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	assert(entry->type == CF_ENTRY_DIR);
	assert(parent || (!recorder->root && entry->name[0] == '\0'));
	rc = add_entry(recorder, parent ? of_dir(parent) : NULL, entry, &r, err);
	if (rc == 0) {
		r->dir_flags = flags;
		if (!parent)
			recorder->root = r;
		*dir_out = (struct cf_dir *)r;
	}
	return leave(recorder, rc);
}

static int dir_end(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		   struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_DIR_END, of_dir(dir)->entry, err);
	struct cf_sink_recorder *recorder = enter(sink);
	struct cf_recorded *r = of_dir(dir);

	for (const struct cf_recorded *child = r->first_child; child; child = child->next)
		assert(child->ended);
	r->ended = true;
	recorder->n_dirs++;
	if (rc == 0)
		rc = set_final(r, entry, err);
	return leave(recorder, rc);
}

static int node(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_NODE, entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	assert(entry->type != CF_ENTRY_DIR && entry->type != CF_ENTRY_FILE);
	assert((entry->type == CF_ENTRY_SYMLINK) == (entry->target != NULL));
	rc = add_entry(recorder, of_dir(dir), entry, &r, err);
	if (rc == 0) {
		r->ended = true;
		recorder->n_nodes++;
	}
	return leave(recorder, rc);
}

static int file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const struct cf_profile *profile, struct cf_file **file_out,
		      struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FILE_BEGIN, entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	assert(entry->type == CF_ENTRY_FILE);
	rc = add_entry(recorder, of_dir(dir), entry, &r, err);
	if (rc < 0)
		return leave(recorder, rc);
	if (profile)
		r->profile = *profile;
	r->wanted = !recorder->wants || recorder->wants(recorder->user, entry);
	r->ended = !r->wanted;
	recorder->n_files += !r->wanted;
	*file_out = r->wanted ? (struct cf_file *)r : NULL;
	return leave(recorder, 0);
}

static int append(const struct cf_sink_recorder *recorder, struct cf_recorded *r,
		  struct cf_span data, struct cf_err *err)
{
	r->content_len += data.len;
	return recorder->drop_content ? 0
				      : cf_buf_append(&r->content, data.data, data.len, err);
}

static int file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
		      struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FILE_WRITE, of_file(file)->entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	r = of_file(file);
	assert(!r->is_sharing);
	rc = append(recorder, r, data, err);
	if (rc == 0 && r->sharer)
		rc = append(recorder, r->sharer, data, err);
	return leave(recorder, rc);
}

static int add_hole(const struct cf_sink_recorder *recorder, struct cf_recorded *r, uint64_t len,
		    struct cf_err *err)
{
	struct cf_recorded_hole *more = realloc(r->holes, (r->n_holes + 1) * sizeof(*more));

	if (!more)
		return cf_err_nomem(err);
	r->holes = more;
	r->holes[r->n_holes++] = (struct cf_recorded_hole){.off = r->content_len, .len = len};
	r->content_len += len;
	return recorder->drop_content ? 0 : cf_buf_resize(&r->content, r->content.len + len, err);
}

static int file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FILE_HOLE, of_file(file)->entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	r = of_file(file);
	assert(len > 0 && !r->is_sharing);
	rc = add_hole(recorder, r, len, err);
	if (rc == 0 && r->sharer)
		rc = add_hole(recorder, r->sharer, len, err);
	return leave(recorder, rc);
}

static int file_share(struct cf_sink *sink, struct cf_file *file, struct cf_file *from,
		      struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FILE_SHARE, of_file(file)->entry, err);
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r, *source;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	r = of_file(file);
	source = of_file(from);
	assert(r != source && !r->is_sharing && !r->sharer);
	assert(!source->sharer && !source->is_sharing && source->content_len == 0);
	source->sharer = r;
	r->is_sharing = true;
	return leave(recorder, 0);
}

static void end_share(struct cf_recorded *r)
{
	if (r->sharer)
		r->sharer->is_sharing = false;
	r->sharer = NULL;
}

static int file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
		    struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FILE_END, of_file(file)->entry, err);
	struct cf_sink_recorder *recorder = enter(sink);
	struct cf_recorded *r = of_file(file);

	assert(!r->is_sharing);
	end_share(r);
	r->ended = true;
	recorder->n_files++;
	if (rc == 0)
		rc = set_final(r, entry, err);
	return leave(recorder, rc);
}

static void file_abort(struct cf_sink *sink, struct cf_file *file)
{
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	call_hook(sink, CF_RECORDER_FILE_ABORT, of_file(file)->entry, NULL);
	recorder = enter(sink);
	r = of_file(file);
	take_from_dir(r->parent, r);
	end_share(r);
	r->ended = true;
	recorder->n_aborted++;
	leave(recorder, 0);
}

static int link_entry(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		      const char *from, struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_LINK, entry, err);
	struct cf_sink_recorder *recorder;
	const struct cf_recorded *original;
	struct cf_recorded *r;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	original = cf_sink_recorder_find(recorder, from);
	if (!original || !original->ended || original->entry->type == CF_ENTRY_DIR)
		return leave(recorder, cf_err_set(err, CF_ERR_NOT_FOUND,
						  "%s: no such file to link to", from));
	rc = add_entry(recorder, of_dir(dir), entry, &r, err);
	if (rc == 0) {
		r->ended = true;
		r->linked_from = strdup(from);
		recorder->n_links++;
	}
	return leave(recorder, rc);
}

static int add_fact(struct cf_sink_recorder *recorder, const char *key, const char *value,
		    struct cf_err *err)
{
	struct cf_fact *more = realloc(recorder->facts, (recorder->n_facts + 1) * sizeof(*more));
	struct cf_fact fact = {.key = strdup(key), .value = strdup(value)};

	assert(more && fact.key && fact.value);
	recorder->facts = more;
	recorder->facts[recorder->n_facts++] = fact;
	return 0;
}

static int fact(struct cf_sink *sink, const char *key, const char *value, struct cf_err *err)
{
	int rc = call_hook(sink, CF_RECORDER_FACT, NULL, err);
	struct cf_sink_recorder *recorder;

	if (rc < 0)
		return rc;
	recorder = enter(sink);
	return leave(recorder, add_fact(recorder, key, value, err));
}

static void expect(struct cf_sink *sink, uint64_t bytes, uint64_t items)
{
	struct cf_sink_recorder *recorder = enter(sink);

	recorder->expected_bytes = bytes;
	recorder->expected_items = items;
	leave(recorder, 0);
}

static const struct cf_sink_ops recorder_ops = {
	.dir_begin = dir_begin,
	.dir_end = dir_end,
	.node = node,
	.file_begin = file_begin,
	.file_write = file_write,
	.file_hole = file_hole,
	.file_write_at = NULL,
	.file_share = file_share,
	.file_end = file_end,
	.file_abort = file_abort,
	.link = link_entry,
	.fact = fact,
	.expect = expect,
};

struct cf_sink_recorder *cf_sink_recorder_new(void)
{
	struct cf_sink_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->sink.ops = &recorder_ops;
	pthread_mutex_init(&recorder->lock, NULL);
	return recorder;
}

static void free_recorded(struct cf_recorded *r)
{
	free(r->entry);
	free(r->holes);
	free(r->linked_from);
	cf_buf_release(&r->content);
	free(r);
}

void cf_sink_recorder_free(struct cf_sink_recorder *recorder)
{
	if (!recorder)
		return;
	while (recorder->all) {
		struct cf_recorded *r = recorder->all;

		recorder->all = r->all_next;
		free_recorded(r);
	}
	for (size_t i = 0; i < recorder->n_facts; i++) {
		free((void *)(uintptr_t)recorder->facts[i].key);
		free((void *)(uintptr_t)recorder->facts[i].value);
	}
	free(recorder->facts);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}

struct cf_recorded *cf_sink_recorder_find(const struct cf_sink_recorder *recorder, const char *path)
{
	struct cf_recorded *r = recorder->root;

	while (r && *path) {
		size_t len = strcspn(path, "/");

		r = child_of(r, path, len);
		path += len + (path[len] == '/');
	}
	return r;
}

const char *cf_sink_recorder_text(struct cf_recorded *recorded)
{
	if (cf_buf_reserve(&recorded->content, 1, NULL) < 0)
		return NULL;
	recorded->content.data[recorded->content.len] = '\0';
	return (const char *)recorded->content.data;
}

static const char *fact_of(const struct cf_fact *facts, size_t n_facts, const char *key)
{
	while (n_facts-- > 0)
		if (strcmp(facts[n_facts].key, key) == 0)
			return facts[n_facts].value;
	return NULL;
}

const char *cf_sink_recorder_fact(const struct cf_sink_recorder *recorder, const char *key)
{
	return fact_of(recorder->facts, recorder->n_facts, key);
}

const char *cf_sink_recorder_entry_fact(const struct cf_recorded *recorded, const char *key)
{
	return fact_of(recorded->entry->facts, recorded->entry->n_facts, key);
}

const struct cf_span *cf_sink_recorder_xattr(const struct cf_recorded *recorded, const char *name)
{
	const struct cf_entry *entry = recorded->entry;

	for (size_t i = 0; i < entry->n_xattrs; i++)
		if (strcmp(entry->xattrs[i].name, name) == 0)
			return &entry->xattrs[i].value;
	return NULL;
}
