#include "repo/format/dir_block.h"

#include "base/err.h"
#include "base/le.h"
#include "repo/format/limits.h"

#include <stdlib.h>

static int put_text(struct cf_buf *out, const char *text, struct cf_err *err)
{
	size_t len = text ? strlen(text) : 0;
	int rc = cf_buf_put_u32(out, (uint32_t)len, err);

	return rc < 0 ? rc : cf_buf_append(out, text ? text : "", len + 1, err);
}

int cf_dir_block_begin(struct cf_buf *out, struct cf_err *err)
{
	return cf_buf_put_u8(out, CF_DIR_BLOCK_VERSION, err);
}

static int put_attributes(struct cf_buf *out, const struct cf_entry *e, struct cf_err *err)
{
	uint8_t fixed[20];
	int rc;

	cf_le64_put(fixed, e->dev);
	cf_le64_put(fixed + 8, e->ino);
	cf_le32_put(fixed + 16, e->nlink);
	rc = cf_buf_append(out, fixed, sizeof(fixed), err);
	if (rc == 0)
		rc = cf_buf_put_u32(out, e->rdev_major, err);
	if (rc == 0)
		rc = cf_buf_put_u32(out, e->rdev_minor, err);
	if (rc == 0)
		rc = put_text(out, e->target, err);
	return rc;
}

static int put_lists(struct cf_buf *out, const struct cf_entry *e, struct cf_err *err)
{
	int rc;

	if (e->n_xattrs > UINT16_MAX || e->n_facts > UINT16_MAX)
		return cf_err_set(err, CF_ERR_FAILED, "%s has too many attributes", e->name);
	rc = cf_buf_put_u16(out, (uint16_t)e->n_xattrs, err);
	for (size_t i = 0; rc == 0 && i < e->n_xattrs; i++) {
		struct cf_span value = e->xattrs[i].value;

		rc = put_text(out, e->xattrs[i].name, err);
		if (rc == 0)
			rc = cf_buf_put_u32(out, (uint32_t)value.len, err);
		if (rc == 0)
			rc = cf_buf_append(out, value.data, value.len, err);
	}
	if (rc == 0)
		rc = cf_buf_put_u16(out, (uint16_t)e->n_facts, err);
	for (size_t i = 0; rc == 0 && i < e->n_facts; i++) {
		rc = put_text(out, e->facts[i].key, err);
		if (rc == 0)
			rc = put_text(out, e->facts[i].value, err);
	}
	return rc;
}

int cf_dir_block_append(struct cf_buf *out, const struct cf_node *node, struct cf_err *err)
{
	const struct cf_entry *e = &node->entry;
	uint8_t owner[12], times[16];
	int rc = cf_buf_put_u8(out, (uint8_t)e->type, err);

	cf_le32_put(owner, e->mode);
	cf_le32_put(owner + 4, e->uid);
	cf_le32_put(owner + 8, e->gid);
	cf_le64_put(times, (uint64_t)e->mtime_ns);
	cf_le64_put(times + 8, (uint64_t)e->ctime_ns);
	if (rc == 0)
		rc = put_text(out, e->name, err);
	if (rc == 0)
		rc = cf_buf_append(out, owner, sizeof(owner), err);
	if (rc == 0)
		rc = put_text(out, e->user, err);
	if (rc == 0)
		rc = put_text(out, e->group, err);
	if (rc == 0)
		rc = cf_buf_append(out, times, sizeof(times), err);
	if (rc == 0)
		rc = put_attributes(out, e, err);
	if (rc == 0)
		rc = put_lists(out, e, err);
	if (rc == 0)
		rc = cf_buf_put_u8(out, node->content.level, err);
	if (rc == 0)
		rc = cf_buf_append(out, node->content.id.bytes, CF_ID_LEN, err);
	if (rc == 0)
		rc = cf_buf_put_u64(out, node->content.size, err);
	return rc;
}

/* One pass over the block counts, a second fills: then every array has its final address. */
struct parse {
	struct cf_cursor c;
	bool fill;
	size_t n_nodes, n_xattrs, n_facts;
	struct cf_dir_block *block;
};

/* Text is borrowed from the block: it must end in its NUL and hold no other. */
static const char *take_text(struct parse *p)
{
	uint32_t len = cf_cursor_u32(&p->c);
	const char *text = (const char *)cf_cursor_bytes(&p->c, (size_t)len + 1);

	if (!text || text[len] != '\0' || memchr(text, '\0', len)) {
		p->c.failed = true;
		return NULL;
	}
	return len ? text : NULL;
}

static void take_xattrs(struct parse *p, struct cf_entry *e)
{
	e->n_xattrs = cf_cursor_u16(&p->c);
	e->xattrs = p->fill ? p->block->xattrs + p->n_xattrs : NULL;
	for (size_t i = 0; i < e->n_xattrs && cf_cursor_ok(&p->c); i++) {
		struct cf_xattr xattr = {.name = take_text(p)};
		uint32_t len = cf_cursor_u32(&p->c);
		const uint8_t *value = cf_cursor_bytes(&p->c, len);

		if (!xattr.name)
			p->c.failed = true;
		xattr.value = cf_span_of(value, value ? len : 0);
		if (p->fill)
			p->block->xattrs[p->n_xattrs] = xattr;
		p->n_xattrs++;
	}
}

static void take_facts(struct parse *p, struct cf_entry *e)
{
	e->n_facts = cf_cursor_u16(&p->c);
	e->facts = p->fill ? p->block->facts + p->n_facts : NULL;
	for (size_t i = 0; i < e->n_facts && cf_cursor_ok(&p->c); i++) {
		const char *key = take_text(p), *value = take_text(p);

		if (!key)
			p->c.failed = true;
		if (p->fill)
			p->block->facts[p->n_facts] = (struct cf_fact){key, value ? value : ""};
		p->n_facts++;
	}
}

static bool node_valid(const struct cf_node *node)
{
	const struct cf_entry *e = &node->entry;
	bool has_content = e->type == CF_ENTRY_FILE || e->type == CF_ENTRY_DIR;

	if (e->type < CF_ENTRY_FILE || e->type > CF_ENTRY_BLOCKDEV || !e->name ||
	    !cf_entry_name_valid(e->name) || e->mode > 07777)
		return false;
	if ((e->type == CF_ENTRY_SYMLINK) != (e->target != NULL))
		return false;
	if (node->content.level >= CF_CONTENT_LEVELS ||
	    (cf_id_is_zero(&node->content.id) && node->content.level != 0) ||
	    (e->type == CF_ENTRY_DIR && cf_id_is_zero(&node->content.id) && node->content.size != 0))
		return false;
	return has_content || (node->content.size == 0 && cf_id_is_zero(&node->content.id));
}

static void take_node(struct parse *p, struct cf_node *node)
{
	struct cf_entry *e = &node->entry;
	uint8_t type = cf_cursor_u8(&p->c);

	e->type = (enum cf_entry_type)type;
	e->name = take_text(p);
	e->mode = cf_cursor_u32(&p->c);
	e->uid = cf_cursor_u32(&p->c);
	e->gid = cf_cursor_u32(&p->c);
	e->user = take_text(p);
	e->group = take_text(p);
	e->mtime_ns = (int64_t)cf_cursor_u64(&p->c);
	e->ctime_ns = (int64_t)cf_cursor_u64(&p->c);
	e->dev = cf_cursor_u64(&p->c);
	e->ino = cf_cursor_u64(&p->c);
	e->nlink = cf_cursor_u32(&p->c);
	e->rdev_major = cf_cursor_u32(&p->c);
	e->rdev_minor = cf_cursor_u32(&p->c);
	e->target = take_text(p);
	take_xattrs(p, e);
	take_facts(p, e);
	node->content.level = cf_cursor_u8(&p->c);
	cf_cursor_copy(&p->c, node->content.id.bytes, CF_ID_LEN);
	node->content.size = cf_cursor_u64(&p->c);
	e->size = e->type == CF_ENTRY_FILE ? node->content.size : 0;
	if (cf_cursor_ok(&p->c) && !node_valid(node))
		p->c.failed = true;
}

static bool parse_block(struct parse *p)
{
	const char *last_name = NULL;

	if (cf_cursor_u8(&p->c) != CF_DIR_BLOCK_VERSION)
		return false;
	while (cf_cursor_ok(&p->c) && cf_cursor_left(&p->c) > 0) {
		struct cf_node node = {0};

		take_node(p, &node);
		if (!cf_cursor_ok(&p->c) || (last_name && strcmp(last_name, node.entry.name) >= 0))
			return false;
		last_name = node.entry.name;
		if (p->fill)
			p->block->nodes[p->n_nodes] = node;
		p->n_nodes++;
	}
	return cf_cursor_ok(&p->c);
}

static int allocate(struct cf_dir_block *block, const struct parse *count, struct cf_err *err)
{
	block->nodes = calloc(count->n_nodes + 1, sizeof(*block->nodes));
	block->xattrs = calloc(count->n_xattrs + 1, sizeof(*block->xattrs));
	block->facts = calloc(count->n_facts + 1, sizeof(*block->facts));
	block->n = count->n_nodes;
	return block->nodes && block->xattrs && block->facts ? 0 : cf_err_nomem(err);
}

int cf_dir_block_decode(struct cf_buf *bytes, struct cf_dir_block *block_out, struct cf_err *err)
{
	struct cf_dir_block block = {.bytes = *bytes};
	struct parse count = {.c = cf_cursor_of(cf_buf_span(bytes))};
	struct parse fill = {.c = count.c, .fill = true, .block = &block};
	int rc;

	*bytes = (struct cf_buf)CF_BUF_INIT;
	if (!parse_block(&count)) {
		rc = cf_err_set(err, CF_ERR_DAMAGED, "a directory is damaged");
	} else {
		rc = allocate(&block, &count, err);
		if (rc == 0)
			parse_block(&fill);
	}
	if (rc < 0) {
		cf_dir_block_release(&block);
		return rc;
	}
	*block_out = block;
	return 0;
}

void cf_dir_block_release(struct cf_dir_block *block)
{
	free(block->nodes);
	free(block->xattrs);
	free(block->facts);
	cf_buf_release(&block->bytes);
	*block = (struct cf_dir_block){0};
}
