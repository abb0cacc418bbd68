#include "repo/pipeline.h"

#include "repo/catalog.h"
#include "repo/chunks.h"
#include "repo/format/dir_block.h"

#include <stdlib.h>

/* Directories while they are written: entries wait in their slots until they are complete, then go into blocks in order. */

enum {
	TREE_LEVEL = 3,
	BLOCK_LEN_MIN = 8 << 10,
	BLOCK_LEN_MAX = 128 << 10,
	BLOCK_CUT_MASK = 63 /* one name in 64 ends a block */
};

static int store_new_tree(struct cf_writer *writer, struct cf_span plain, const struct cf_id *id,
			  struct cf_err *err)
{
	struct cf_table_chunk entry = {.id = *id, .raw_len = (uint32_t)plain.len};
	struct cf_coder_slot *slot = NULL;
	ssize_t len;
	int rc = cf_repo_take_coder(writer->repo, &slot, err);

	if (rc < 0)
		return rc;
	cf_buf_clear(&slot->payload);
	len = cf_codec_compress(&slot->coder, TREE_LEVEL, cf_span_of(NULL, 0), plain, &slot->payload, err);
	rc = len < 0 ? (int)len : 0;
	if (rc == 0)
		rc = cf_blob_store(writer->packer, slot, CF_OBJECT_TREE_PACK, CF_CODEC_ZSTD, cf_buf_span(&slot->payload),
				   cf_span_of(NULL, 0), plain, &entry, 1, err);
	cf_repo_give_coder(writer->repo, slot);
	return rc;
}

int cf_writer_store_tree(struct cf_writer *writer, struct cf_span plain, struct cf_id *id_out,
			 struct cf_err *err)
{
	int rc = cf_chunk_id(writer->repo, CF_OBJECT_TREE_PACK, plain, id_out, err);

	if (rc == 0)
		rc = cf_catalog_claim(writer->repo->catalog, id_out, err);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	return store_new_tree(writer, plain, id_out, err);
}

int cf_list_store_tree(void *writer, struct cf_span list, struct cf_id *id_out, struct cf_err *err)
{
	return cf_writer_store_tree(writer, list, id_out, err);
}

int cf_dir_find_old(struct cf_dir *dir, const char *name, struct cf_node *old_out)
{
	const struct cf_node *found = NULL;
	int rc;

	pthread_mutex_lock(&dir->old_lock);
	rc = dir->old ? cf_dir_iter_find(dir->old, name, &found, NULL) : 0;
	if (rc == 1)
		*old_out = (struct cf_node){.content = found->content,
					    .entry = {.type = found->entry.type,
						      .name = "",
						      .size = found->entry.size,
						      .mtime_ns = found->entry.mtime_ns,
						      .ctime_ns = found->entry.ctime_ns,
						      .ino = found->entry.ino}};
	pthread_mutex_unlock(&dir->old_lock);
	return rc == 1;
}

/* The same directory in the parent snapshot, if it has one. Whatever is wrong with it costs speed, not the backup. */
static struct cf_dir_iter *open_old(struct cf_writer *writer, struct cf_dir *parent, const char *name)
{
	struct cf_dir_iter *iter = NULL;
	struct cf_node *root = NULL, node;

	if (!parent && writer->parent && cf_tree_find(writer->repo, writer->parent, "", &root, NULL) == 0)
		cf_dir_iter_new(writer->repo, root, &iter, NULL);
	else if (parent && cf_dir_find_old(parent, name, &node) == 1 && node.entry.type == CF_ENTRY_DIR)
		cf_dir_iter_new(writer->repo, &node, &iter, NULL);
	free(root);
	return iter;
}

static void free_dir(struct cf_dir *dir)
{
	struct cf_writer *writer = dir->writer;

	pthread_mutex_lock(&writer->live_lock);
	*(dir->newer ? &dir->newer->older : &writer->live_dirs) = dir->older;
	if (dir->older)
		dir->older->newer = dir->newer;
	pthread_mutex_unlock(&writer->live_lock);
	while (dir->first) {
		struct cf_slot *slot = dir->first;

		dir->first = slot->next;
		free(slot->node);
		free(slot);
	}
	cf_dir_iter_free(dir->old);
	cf_buf_release(&dir->block);
	cf_list_builder_release(&dir->list);
	free(dir->node);
	pthread_mutex_destroy(&dir->old_lock);
	pthread_mutex_destroy(&dir->lock);
	free(dir);
}

void cf_dirs_release(struct cf_writer *writer)
{
	while (writer->live_dirs)
		free_dir(writer->live_dirs);
}

static struct cf_node *new_node(const struct cf_entry *entry)
{
	struct cf_node node = {.entry = *entry};

	return cf_node_dup(&node);
}

/* Called with the live lock held. */
static int note_open(struct cf_writer *writer, struct cf_dir *dir, struct cf_err *err)
{
	if (writer->n_open_dirs == writer->open_dirs_capacity) {
		size_t capacity = writer->open_dirs_capacity ? 2 * writer->open_dirs_capacity : 32;
		struct cf_dir **dirs = realloc(writer->open_dirs, capacity * sizeof(struct cf_dir *));

		if (!dirs)
			return cf_err_nomem(err);
		writer->open_dirs = dirs;
		writer->open_dirs_capacity = capacity;
	}
	writer->open_dirs[writer->n_open_dirs++] = dir;
	return 0;
}

static void note_ended(struct cf_writer *writer, const struct cf_dir *dir)
{
	size_t i;

	pthread_mutex_lock(&writer->live_lock);
	i = writer->n_open_dirs;
	while (writer->open_dirs[--i] != dir)
		;
	memmove(writer->open_dirs + i, writer->open_dirs + i + 1,
		(--writer->n_open_dirs - i) * sizeof(struct cf_dir *));
	pthread_mutex_unlock(&writer->live_lock);
}

int cf_dir_open(struct cf_writer *writer, struct cf_dir *parent, const struct cf_entry *entry, unsigned flags,
		struct cf_dir **dir_out, struct cf_err *err)
{
	struct cf_dir *dir = calloc(1, sizeof(*dir));
	int rc = 0;

	if (!dir)
		return cf_err_nomem(err);
	dir->writer = writer;
	dir->parent = parent;
	dir->is_sorted = flags & CF_DIR_SORTED;
	dir->last = &dir->first;
	dir->n_open = 1; /* until it ends */
	pthread_mutex_init(&dir->old_lock, NULL);
	pthread_mutex_init(&dir->lock, NULL);
	cf_list_builder_init(&dir->list, cf_list_store_tree, writer);
	pthread_mutex_lock(&writer->live_lock);
	dir->older = writer->live_dirs;
	if (dir->older)
		dir->older->newer = dir;
	writer->live_dirs = dir;
	pthread_mutex_unlock(&writer->live_lock);
	if (parent)
		rc = cf_slot_add(parent, entry, &dir->slot, err);
	else if (!(dir->node = new_node(entry)))
		rc = cf_err_nomem(err);
	if (rc < 0) {
		free_dir(dir);
		return rc;
	}
	pthread_mutex_lock(&writer->live_lock);
	rc = note_open(writer, dir, err);
	pthread_mutex_unlock(&writer->live_lock);
	if (rc < 0) /* the writer has failed: what is open is freed with it */
		return rc;
	dir->old = open_old(writer, parent, entry->name);
	*dir_out = dir;
	return 0;
}

static int check_name(const struct cf_dir *dir, const struct cf_entry *entry, struct cf_err *err)
{
	const struct cf_slot *last;

	if (!cf_entry_name_valid(entry->name))
		return cf_err_set(err, CF_ERR_FAILED, "\"%s\" cannot be the name of an entry", entry->name);
	if (!dir->is_sorted || !dir->first)
		return 0;
	last = (const struct cf_slot *)(const void *)((const char *)dir->last - offsetof(struct cf_slot, next));
	if (strcmp(last->node->entry.name, entry->name) >= 0)
		return cf_err_set(err, CF_ERR_FAILED, "%s comes out of order", entry->name);
	return 0;
}

int cf_slot_add(struct cf_dir *dir, const struct cf_entry *entry, struct cf_slot **slot_out,
		struct cf_err *err)
{
	struct cf_slot *slot = calloc(1, sizeof(*slot));
	int rc;

	if (!slot || !(slot->node = new_node(entry))) {
		free(slot);
		return cf_err_nomem(err);
	}
	pthread_mutex_lock(&dir->lock);
	rc = check_name(dir, entry, err);
	if (rc == 0) {
		*dir->last = slot;
		dir->last = &slot->next;
		dir->n_open++;
	}
	pthread_mutex_unlock(&dir->lock);
	if (rc < 0) {
		free(slot->node);
		free(slot);
		return rc;
	}
	*slot_out = slot;
	return 0;
}

static int store_block(struct cf_dir *dir, struct cf_err *err)
{
	struct cf_id id;
	int rc = cf_writer_store_tree(dir->writer, cf_buf_span(&dir->block), &id, err);

	if (rc == 0)
		rc = cf_list_builder_add(&dir->list, &id, dir->block.len, err);
	cf_buf_clear(&dir->block);
	dir->n_in_block = 0;
	return rc;
}

/* A block's end depends on the names in it only, so that a change leaves the other blocks of a large directory alone. */
static bool ends_block(const struct cf_dir *dir, const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return dir->block.len >= BLOCK_LEN_MAX ||
	       (dir->block.len >= BLOCK_LEN_MIN && ((hash >> 16 ^ hash) & BLOCK_CUT_MASK) == 0);
}

static int append_entry(struct cf_dir *dir, const struct cf_node *node, struct cf_err *err)
{
	int rc = 0;

	if (dir->n_in_block == 0)
		rc = cf_dir_block_begin(&dir->block, err);
	if (rc == 0)
		rc = cf_dir_block_append(&dir->block, node, err);
	dir->n_in_block++;
	if (rc == 0 && ends_block(dir, node->entry.name))
		rc = store_block(dir, err);
	return rc;
}

/* Move the complete entries at the front into blocks. Called with the directory's lock held. */
static int flush_front(struct cf_dir *dir, struct cf_err *err)
{
	int rc = 0;

	/* The last slot stays until the end: check_name looks at it. */
	while (rc == 0 && dir->first && dir->first->is_done && (dir->first->next || dir->n_open == 0)) {
		struct cf_slot *slot = dir->first;

		if (!slot->is_dropped)
			rc = append_entry(dir, slot->node, err);
		dir->first = slot->next;
		if (!dir->first)
			dir->last = &dir->first;
		free(slot->node);
		free(slot);
	}
	return rc;
}

struct sortable {
	struct cf_slot *slot;
	size_t order;
};

static int compare_slots(const void *a, const void *b)
{
	const struct sortable *x = a, *y = b;
	int order = strcmp(x->slot->node->entry.name, y->slot->node->entry.name);

	return order ? order : (x->order < y->order ? -1 : 1);
}

/* Entries of an unsorted directory in order; of several with one name the last begun stays. */
static int sort_slots(struct cf_dir *dir, struct cf_err *err)
{
	struct sortable *all;
	size_t n = 0;

	for (struct cf_slot *s = dir->first; s; s = s->next)
		n++;
	all = malloc((n + 1) * sizeof(*all));
	if (!all)
		return cf_err_nomem(err);
	n = 0;
	for (struct cf_slot *s = dir->first; s; s = s->next) {
		all[n] = (struct sortable){.slot = s, .order = n};
		n++;
	}
	if (n)
		qsort(all, n, sizeof(*all), compare_slots);
	dir->last = &dir->first;
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && !all[i + 1].slot->is_dropped &&
		    strcmp(all[i].slot->node->entry.name, all[i + 1].slot->node->entry.name) == 0)
			all[i].slot->is_dropped = true;
		*dir->last = all[i].slot;
		dir->last = &all[i].slot->next;
	}
	*dir->last = NULL;
	free(all);
	return 0;
}

/* Everything in it is complete. Frees the directory; its own entry is completed by the caller. */
static int complete_dir(struct cf_dir *dir, struct cf_content *content_out, struct cf_err *err)
{
	int rc = dir->is_sorted ? 0 : sort_slots(dir, err);

	if (rc == 0)
		rc = flush_front(dir, err);
	if (rc == 0 && dir->n_in_block)
		rc = store_block(dir, err);
	if (rc == 0)
		rc = cf_list_builder_finish(&dir->list, content_out, err);
	return rc;
}

/* The root's own entry goes into a block of its own, which the snapshot names. */
static int complete_root(struct cf_dir *root, const struct cf_content *content, struct cf_err *err)
{
	struct cf_writer *writer = root->writer;
	struct cf_node node = {.entry = root->node->entry, .content = *content};
	struct cf_buf block = CF_BUF_INIT;
	int rc = cf_dir_block_begin(&block, err);

	node.entry.name = "root";
	if (rc == 0)
		rc = cf_dir_block_append(&block, &node, err);
	if (rc == 0)
		rc = cf_writer_store_tree(writer, cf_buf_span(&block), &writer->root.id, err);
	writer->root.size = block.len;
	cf_buf_release(&block);
	pthread_mutex_lock(&writer->error_lock);
	writer->has_root = rc == 0;
	pthread_mutex_unlock(&writer->error_lock);
	return rc;
}

/* One entry of the directory, or its end, is done. Completes the directory, and those above, when it was the last. */
static int one_done(struct cf_dir *dir, struct cf_slot *slot, struct cf_err *err)
{
	int rc = 0;

	while (rc == 0 && dir) {
		struct cf_dir *parent = dir->parent;
		struct cf_content content;
		bool complete;

		pthread_mutex_lock(&dir->lock);
		if (slot)
			slot->is_done = true;
		complete = --dir->n_open == 0;
		if (!complete && dir->is_sorted)
			rc = flush_front(dir, err);
		pthread_mutex_unlock(&dir->lock);
		if (!complete)
			return rc;
		slot = dir->slot;
		rc = complete_dir(dir, &content, err);
		if (rc == 0 && parent)
			slot->node->content = content;
		else if (rc == 0)
			rc = complete_root(dir, &content, err);
		free_dir(dir);
		dir = parent;
	}
	return rc;
}

int cf_slot_done(struct cf_dir *dir, struct cf_slot *slot, const struct cf_content *content,
		 struct cf_err *err)
{
	int rc = cf_links_content(dir->writer, slot, content, err);

	return rc < 0 ? rc : one_done(dir, slot, err);
}

static int replace_entry(struct cf_node **node, const struct cf_entry *entry, struct cf_err *err)
{
	struct cf_entry named = *entry;
	struct cf_node *fresh;

	named.name = (*node)->entry.name;
	fresh = new_node(&named);
	if (!fresh)
		return cf_err_nomem(err);
	free(*node);
	*node = fresh;
	return 0;
}

int cf_slot_replace(struct cf_dir *dir, struct cf_slot *slot, const struct cf_entry *entry,
		    struct cf_err *err)
{
	int rc;

	/* Whoever begins a neighbour compares names. */
	pthread_mutex_lock(&dir->lock);
	rc = replace_entry(&slot->node, entry, err);
	pthread_mutex_unlock(&dir->lock);
	return rc;
}

int cf_dir_end(struct cf_dir *dir, const struct cf_entry *entry, struct cf_err *err)
{
	int rc = 0;

	if (entry)
		rc = dir->slot ? cf_slot_replace(dir->parent, dir->slot, entry, err)
			       : replace_entry(&dir->node, entry, err);
	note_ended(dir->writer, dir);
	/* Nobody looks into it any more, and the directory may take long to complete. */
	cf_dir_iter_free(dir->old);
	dir->old = NULL;
	return rc < 0 ? rc : one_done(dir, NULL, err);
}
