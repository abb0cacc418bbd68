#include "tests/unit/repo_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int64_t next_ms(void *user)
{
	return atomic_fetch_add((atomic_llong *)user, 1000000);
}

void fixture_init(struct fixture *f, enum cf_cipher cipher)
{
	const struct cf_repo_init_options options = {.cipher = cipher};
	struct cf_id id;

	memset(f, 0, sizeof(*f));
	atomic_init(&f->now, 1700000000000000000);
	f->ctx = (struct cf_ctx){.now_ns = next_ms,
				 .clock_user = &f->now,
				 .cancel = &f->cancel,
				 .n_warnings = &f->n_warnings};
	assert_int_equal(
		cf_secret_copy(cf_span_str("0123456789abcdef0123456789abcdef"), &f->key_file, NULL),
		0);
	f->credentials.key_file = f->key_file;
	assert_int_equal(cf_memory_new(&f->store, NULL), 0);
	assert_int_equal(cf_repo_init(f->store, &f->credentials, &options, &f->ctx, &id, NULL), 0);
}

void fixture_release(struct fixture *f)
{
	cf_backend_close(f->store);
	cf_secret_free(f->key_file);
}

static int share_put(struct cf_backend *backend, const char *name, const struct cf_span *parts,
		     size_t n, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	return inner->ops->put(inner, name, parts, n, err);
}

static int share_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
		     struct cf_buf *out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	return inner->ops->get(inner, name, off, len, out, err);
}

static int share_size(struct cf_backend *backend, const char *name, uint64_t *size_out,
		      struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	return inner->ops->size(inner, name, size_out, err);
}

static int share_time(struct cf_backend *backend, const char *name, int64_t *ns_out,
		      struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	return inner->ops->time(inner, name, ns_out, err);
}

static int share_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn,
		      void *user, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);

	return inner->ops->list(inner, prefix, fn, user, err);
}

static void share_close(struct cf_backend *backend)
{
	free(backend->url);
	free(backend);
}

static const struct cf_backend_ops share_ops = {.put = share_put,
						.get = share_get,
						.size = share_size,
						.time = share_time,
						.list = share_list,
						.remove = cf_wrap_remove,
						.close = share_close};

struct cf_backend *fixture_share(struct cf_backend *inner)
{
	return cf_wrap_new(sizeof(struct cf_wrap), &share_ops, inner, NULL);
}

struct cf_repo *fixture_open_over(struct fixture *f, struct cf_backend *backend,
				  const char *cache_dir, struct cf_err *err)
{
	const struct cf_repo_open_options options = {.n_threads = 2, .cache_dir = cache_dir};
	struct cf_repo *repo = NULL;

	if (backend && cf_repo_open(backend, &f->credentials, &options, &f->ctx, &repo, err) < 0)
		cf_backend_close(backend);
	return repo;
}

struct cf_repo *fixture_open(struct fixture *f)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open_over(f, fixture_share(f->store), NULL, &err);

	if (!repo)
		fail_msg("%s", err.text);
	return repo;
}

void source_rows(unsigned version, struct cf_buf *out, size_t n)
{
	uint64_t mix = 88172645463325252u;
	int rc = 0;

	for (unsigned row = 0; rc == 0 && out->len < n; row++) {
		unsigned changed = row % 97 == 0 ? version : 0;

		mix ^= mix << 13;
		mix ^= mix >> 7;
		mix ^= mix << 17;
		rc = cf_buf_printf(out, NULL, "%08u|%016llx|%u|active|2024-05-%02u\n", row,
				   (unsigned long long)mix, changed, row % 28 + 1);
	}
	if (rc == 0)
		cf_buf_resize(out, n, NULL);
}

/* The contract wants the same error passed up: nothing else is done after a failure. */
static int push_file(struct cf_sink *sink, struct cf_dir *dir, const char *name,
		     struct cf_span data, uint64_t hole, struct cf_err *err)
{
	struct cf_entry entry = {.type = CF_ENTRY_FILE,
				 .name = name,
				 .mode = 0640,
				 .uid = 7,
				 .user = "u",
				 .mtime_ns = 1,
				 .size = data.len + hole};
	struct cf_file *file = NULL;
	int rc = sink->ops->file_begin(sink, dir, &entry, NULL, &file, err);

	if (rc < 0 || !file)
		return rc;
	for (size_t at = 0; rc == 0 && at < data.len; at += 50000)
		rc = sink->ops->file_write(
			sink, file,
			cf_span_of(data.data + at, data.len - at < 50000 ? data.len - at : 50000),
			err);
	if (rc == 0 && hole)
		rc = sink->ops->file_hole(sink, file, hole, err);
	if (rc == 0 && hole)
		rc = sink->ops->file_write(sink, file, cf_span_str("behind the hole"), err);
	if (rc == 0)
		return sink->ops->file_end(sink, file, NULL, err);
	sink->ops->file_abort(sink, file);
	return rc;
}

static int push_small(unsigned version, struct cf_sink *sink, struct cf_dir *dir,
		      struct cf_err *err)
{
	int rc = 0;

	/* Not in order of names. */
	for (unsigned i = 0; rc == 0 && i < 40; i++) {
		char name[16], text[80];

		snprintf(name, sizeof(name), "f%02u", i * 7 % 40);
		snprintf(text, sizeof(text), "small file %u of version %u", i,
			 i % 9 == 0 ? version : 0);
		rc = push_file(sink, dir, name, cf_span_of(text, i == 3 ? 0 : strlen(text)), 0,
			       err);
	}
	return rc;
}

static int push_dirs(unsigned version, struct cf_sink *sink, struct cf_dir *root,
		     struct cf_err *err)
{
	const struct cf_xattr xattr = {"user.note", cf_span_str("kept")};
	const struct cf_entry small = {.type = CF_ENTRY_DIR,
				       .name = "small",
				       .mode = 0755,
				       .xattrs = &xattr,
				       .n_xattrs = 1};
	const struct cf_entry empty = {.type = CF_ENTRY_DIR, .name = "empty", .mode = 0700};
	const struct cf_entry link = {
		.type = CF_ENTRY_SYMLINK, .name = "to", .mode = 0777, .target = "../big"};
	struct cf_dir *dir, *inner;
	int rc = sink->ops->dir_begin(sink, root, &small, 0, &dir, err);

	if (rc == 0)
		rc = push_small(version, sink, dir, err);
	if (rc == 0)
		rc = sink->ops->dir_begin(sink, dir, &empty, 0, &inner, err);
	if (rc == 0)
		rc = sink->ops->dir_end(sink, inner, NULL, err);
	if (rc == 0)
		rc = sink->ops->node(sink, dir, &link, err);
	return rc < 0 ? rc : sink->ops->dir_end(sink, dir, NULL, err);
}

int source_push(unsigned version, struct cf_sink *sink, struct cf_err *err)
{
	const struct cf_entry root = {
		.type = CF_ENTRY_DIR, .name = "", .mode = 0755, .mtime_ns = 5};
	struct cf_buf rows = CF_BUF_INIT;
	struct cf_dir *dir;
	int rc = sink->ops->dir_begin(sink, NULL, &root, 0, &dir, err);

	source_rows(version, &rows, 700000);
	if (rc == 0 && rows.len != 700000)
		rc = cf_err_nomem(err);
	if (rc == 0)
		rc = push_file(sink, dir, "big", cf_buf_span(&rows), 0, err);
	if (rc == 0)
		rc = push_file(sink, dir, "sparse", cf_span_of(rows.data, 1000), 3 << 20, err);
	if (rc == 0)
		rc = push_dirs(version, sink, dir, err);
	if (rc == 0)
		rc = sink->ops->dir_end(sink, dir, NULL, err);
	cf_buf_release(&rows);
	return rc;
}

int fixture_backup(struct cf_repo *repo, unsigned version, struct cf_snapshot **snapshot_out,
		   struct cf_err *err)
{
	const struct cf_writer_options options = {
		.source = "test:", .driver = "test", .host = "h", .user = "u"};
	struct cf_writer *writer = NULL;
	int rc = cf_writer_open(repo, &options, &writer, err);

	if (rc == 0)
		rc = source_push(version, cf_writer_sink(writer), err);
	if (rc == 0)
		rc = cf_writer_commit(writer, snapshot_out, err);
	cf_writer_close(writer);
	return rc;
}

static const struct cf_recorded *child(const struct cf_recorded *dir, const char *name)
{
	const struct cf_recorded *c = dir->first_child;

	while (c && strcmp(c->entry->name, name) != 0)
		c = c->next;
	return c;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_entry(const struct cf_entry *a, const struct cf_entry *b)
{
	if (a->n_xattrs != b->n_xattrs)
		return false;
	for (size_t i = 0; i < a->n_xattrs; i++)
		if (a->xattrs[i].value.len != b->xattrs[i].value.len ||
		    memcmp(a->xattrs[i].value.data, b->xattrs[i].value.data,
			   a->xattrs[i].value.len) != 0)
			return false;
	return a->type == b->type && a->mode == b->mode && a->uid == b->uid &&
	       a->mtime_ns == b->mtime_ns && same_text(a->user, b->user) &&
	       same_text(a->target, b->target);
}

bool recorded_equal(const struct cf_recorded *a, const struct cf_recorded *b)
{
	if (!same_entry(a->entry, b->entry) || a->n_children != b->n_children ||
	    a->content.len != b->content.len ||
	    (a->content.len && memcmp(a->content.data, b->content.data, a->content.len) != 0))
		return false;
	for (const struct cf_recorded *c = a->first_child; c; c = c->next) {
		const struct cf_recorded *other = child(b, c->entry->name);

		if (!other || !recorded_equal(c, other))
			return false;
	}
	return true;
}

int fixture_restore_equals(struct cf_repo *repo, const struct cf_snapshot *snapshot,
			   unsigned version, struct cf_err *err)
{
	const struct cf_restore_run_options options = {0};
	struct cf_sink_recorder *want = cf_sink_recorder_new(), *found = cf_sink_recorder_new();
	struct cf_restore_figures figures;
	int rc = want && found ? source_push(version, &want->sink, err) : CF_ERR_NOMEM;

	if (rc == 0)
		rc = cf_restore_run(repo, snapshot, "", &options, &found->sink, &figures, err);
	if (rc == 0)
		rc = recorded_equal(want->root, found->root);
	cf_sink_recorder_free(want);
	cf_sink_recorder_free(found);
	return rc;
}

static void note_finding(void *user, const char *object, const char *problem)
{
	if (user)
		cf_buf_printf(user, NULL, "%s: %s\n", object, problem);
}

int fixture_check(struct cf_repo *repo, struct cf_buf *findings, struct cf_err *err)
{
	const struct cf_check_options options = {.read_percent = 100};
	struct cf_check_figures figures;

	return cf_check_run(repo, &options, note_finding, findings, &figures, err);
}
