/* What the holder of a key of role write can store, and what it must not make of other hosts' backups. */

#include "tests/unit/repo_fixture.h"

#include "repo/audit.h"
#include "repo/blob.h"
#include "repo/catalog.h"
#include "repo/forget.h"
#include "repo/format/gc_doc.h"
#include "repo/format/snapshot_doc.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/prune.h"
#include "repo/quarantine.h"
#include "repo/repair.h"
#include "repo/retain.h"
#include "repo/segments.h"
#include "repo/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct cf_forget_options who = {.host = "h", .user = "u"};
static const struct cf_prune_options now = {.host = "h", .user = "u", .max_unused_percent = 0, .now = true};

/* The backups of two hosts: version 1, the victim, and version 9. */
struct scene {
	struct fixture f;
	struct cf_repo *repo;
	struct cf_snapshot *victim, *other;
	struct cf_buf findings;
	size_t n_packs, n_forged;
};

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned version)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_backup(repo, version, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	fixture_init(&s->f, 0);
	s->repo = fixture_open(&s->f);
	s->victim = backup(s->repo, 1);
	s->other = backup(s->repo, 9);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	cf_snapshot_free(s->victim);
	cf_snapshot_free(s->other);
	cf_buf_release(&s->findings);
	cf_repo_close(s->repo);
	fixture_release(&s->f);
	free(s);
	return 0;
}

static struct cf_snapshot *load(struct scene *s, const struct cf_id *id)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (cf_snapshot_load(s->repo, id, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

/* Store one that says it replaces the victim: with the other's root, and without the victim's hold. */
static struct cf_id forge(struct scene *s, const struct cf_id *victim, const struct cf_content *root)
{
	struct cf_snapshot *copy = load(s, victim);
	struct cf_hold *hold = copy->hold;
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_id id;

	copy->hold = NULL;
	copy->replaces = *victim;
	copy->root = *root;
	assert_int_equal(cf_snapshot_encode(copy, &doc, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_SNAPSHOT, cf_buf_span(&doc), &id, NULL, NULL), 0);
	copy->hold = hold;
	cf_snapshot_free(copy);
	cf_buf_release(&doc);
	return id;
}

static struct cf_id hold(struct scene *s, const struct cf_id *id)
{
	const struct cf_hold some = {.since_ns = 7, .reason = (char *)(uintptr_t)"audit"};
	struct cf_snapshot *snapshot = load(s, id);
	struct cf_id after;

	assert_int_equal(cf_snapshot_set_hold(s->repo, snapshot, &some, &after, NULL), 0);
	cf_snapshot_free(snapshot);
	return after;
}

static int forget(struct scene *s, const struct cf_id *id)
{
	struct cf_forget_figures figures;

	return cf_forget_run(s->repo, id, 1, &who, &figures, NULL);
}

static void prune(struct scene *s)
{
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;

	if (cf_prune_run(s->repo, &now, &figures, &err) < 0)
		fail_msg("%s", err.text);
}

/* By a handle that knows nothing yet. */
static void assert_restores(struct scene *s, const struct cf_id *id, unsigned version)
{
	struct cf_repo *repo = fixture_open(&s->f);
	struct cf_snapshot *snapshot = load(s, id);
	struct cf_err err = CF_ERR_INIT;
	int rc = fixture_restore_equals(repo, snapshot, version, &err);

	if (rc != 1)
		fail_msg("version %u: %d %s", version, rc, err.text);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
}

static const char *check(struct scene *s)
{
	cf_buf_clear(&s->findings);
	fixture_check(s->repo, &s->findings, NULL);
	assert_int_equal(cf_buf_append(&s->findings, "", 1, NULL), 0);
	return (const char *)s->findings.data;
}

static const struct cf_snapshot *find_listed(const struct cf_snapshot_list *list, const struct cf_id *id)
{
	for (size_t i = 0; i < list->n; i++)
		if (cf_id_equal(&list->items[i]->id, id))
			return list->items[i];
	return NULL;
}

static void another_root_replaces_nothing(void **state)
{
	struct scene *s = *state;
	struct cf_id forged = forge(s, &s->victim->id, &s->other->root);
	struct cf_snapshot_list list;
	struct cf_snapshot *latest;
	const char *findings;

	assert_int_equal(cf_snapshots_load(s->repo, NULL, &list, NULL), 0);
	assert_int_equal(list.n, 3);
	assert_false(find_listed(&list, &s->victim->id)->is_pretender);
	assert_true(find_listed(&list, &forged)->is_pretender);
	cf_snapshot_list_release(&list);
	findings = check(s);
	assert_non_null(strstr(findings, cf_id_text(&forged).s));
	assert_non_null(strstr(findings, "somebody forged it"));
	assert_int_equal(forget(s, &s->other->id), 0);
	assert_int_equal(cf_snapshot_resolve(s->repo, "latest", NULL, &latest, NULL), 0);
	assert_true(cf_id_equal(&latest->id, &s->victim->id));
	cf_snapshot_free(latest);
	prune(s);
	assert_restores(s, &s->victim->id, 1);
	/* Who forgets the forged one does not lose the other. */
	assert_int_equal(forget(s, &forged), 0);
	prune(s);
	assert_restores(s, &s->victim->id, 1);
	assert_string_equal(check(s), "");
}

static void a_hidden_forged_version_does_not_stop_forget(void **state)
{
	struct scene *s = *state;
	struct cf_id forged = forge(s, &s->victim->id, &s->other->root);

	forge(s, &forged, &s->other->root);
	assert_int_equal(forget(s, &s->victim->id), 0);
}

static void a_version_that_no_full_key_made_lifts_no_hold(void **state)
{
	struct scene *s = *state;
	struct cf_id held = hold(s, &s->victim->id), forged = forge(s, &held, &s->victim->root), free_again;
	struct cf_snapshot_list list;
	const struct cf_snapshot *listed;

	assert_int_equal(cf_snapshots_load(s->repo, NULL, &list, NULL), 0);
	assert_int_equal(list.n, 3);
	assert_true(find_listed(&list, &forged)->is_pretender);
	listed = find_listed(&list, &held);
	assert_non_null(listed);
	assert_string_equal(listed->hold->reason, "audit");
	assert_non_null(strstr(check(s), "no version of it that a full key made"));
	assert_int_equal(forget(s, &held), CF_ERR_BUSY);
	assert_int_equal(forget(s, &forged), 0);
	assert_int_equal(cf_forget_hold(s->repo, listed, &who, &free_again, NULL), 0);
	cf_snapshot_list_release(&list);
	assert_string_equal(check(s), "");
	assert_int_equal(forget(s, &free_again), 0);
	assert_string_equal(check(s), "");
}

static void a_version_signed_for_other_tags_counts_for_nothing(void **state)
{
	const char *const tags[] = {"legal"}, *const others[] = {"other"};
	struct scene *s = *state;
	struct cf_id tagged, retagged;
	struct cf_snapshot *snapshot, *copy;
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_snapshot_set_tags(s->repo, s->victim, tags, 1, &tagged, NULL), 0);
	snapshot = load(s, &tagged);
	assert_int_equal(cf_snapshot_is_version_of(snapshot, s->victim, &err), 1);
	/* Its signature, under what was not signed. */
	copy = load(s, &tagged);
	free(copy->tags[0]);
	copy->tags[0] = strdup(others[0]);
	assert_int_equal(cf_snapshot_encode(copy, &doc, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_SNAPSHOT, cf_buf_span(&doc), &retagged, NULL, NULL), 0);
	cf_snapshot_free(copy);
	copy = load(s, &retagged);
	assert_false(copy->is_signed);
	assert_int_equal(cf_snapshot_is_version_of(copy, s->victim, &err), 0);
	cf_snapshot_free(copy);
	cf_snapshot_free(snapshot);
	cf_buf_release(&doc);
}

/* Files that look unchanged would be taken over from it unread. */
static void a_forged_backup_is_nobodys_parent(void **state)
{
	struct scene *s = *state;
	struct cf_snapshot *copy = load(s, &s->other->id), *next;
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_id id, tagged;

	assert_true(copy->is_authentic);
	copy->time_ns++;
	assert_int_equal(cf_snapshot_encode(copy, &doc, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_SNAPSHOT, cf_buf_span(&doc), &id, NULL, NULL), 0);
	cf_snapshot_free(copy);
	copy = load(s, &id);
	assert_false(copy->is_authentic);
	/* Nor does it become one by a tag that somebody with a full key gives it. */
	assert_int_equal(cf_snapshot_set_tags(s->repo, copy, NULL, 0, &tagged, NULL), 0);
	cf_snapshot_free(copy);
	copy = load(s, &tagged);
	assert_true(copy->is_signed && !copy->is_authentic);
	cf_snapshot_free(copy);
	next = backup(s->repo, 9);
	assert_true(cf_id_equal(&next->parent, &s->other->id));
	cf_snapshot_free(next);
	/* True ones stay true. */
	assert_int_equal(cf_snapshot_set_tags(s->repo, s->other, NULL, 0, &tagged, NULL), 0);
	copy = load(s, &tagged);
	assert_true(copy->is_authentic);
	cf_snapshot_free(copy);
	cf_buf_release(&doc);
}

static void a_hold_stays_where_nothing_can_be_removed(void **state)
{
	struct scene *s = *state;
	struct cf_id held = hold(s, &s->victim->id), after;
	struct cf_snapshot *snapshot = load(s, &held);
	struct cf_backend *store;
	struct cf_repo *repo;

	store = fixture_share(s->f.store);
	store->caps &= ~(unsigned)CF_BACKEND_CAN_REMOVE;
	repo = fixture_open_over(&s->f, store, NULL, NULL);
	assert_non_null(repo);
	assert_int_equal(cf_forget_hold(repo, snapshot, &who, &after, NULL), CF_ERR_UNSUPPORTED);
	cf_repo_close(repo);
	assert_int_equal(forget(s, &held), CF_ERR_BUSY);
	cf_snapshot_free(snapshot);
}

static void forged_versions_push_nothing_out(void **state)
{
	const struct cf_retain_rules rules = {.periods[CF_KEEP_LAST].count = 2};
	struct scene *s = *state;
	struct cf_retain_plan plan;
	struct cf_snapshot_list list;

	for (unsigned i = 0; i < 3; i++)
		forge(s, &s->victim->id, &s->other->root);
	assert_int_equal(cf_snapshots_load(s->repo, NULL, &list, NULL), 0);
	assert_int_equal(list.n, 5);
	assert_int_equal(cf_retain_plan(list.items, list.n, 0, &rules, INT64_MAX, &plan, NULL), 0);
	assert_int_equal(plan.n_kept, 5);
	for (size_t i = 0; i < plan.n; i++)
		assert_int_equal(plan.items[i].reasons,
				 plan.items[i].snapshot->is_pretender ? 1u << CF_KEEP_PRETENDER : 1u << CF_KEEP_LAST);
	cf_retain_plan_release(&plan);
	cf_snapshot_list_release(&list);
}

/* Somebody says that a run has ended, which is about to commit what only its intent names. */
static void a_forged_end_does_not_undo_an_intent(void **state)
{
	struct scene *s = *state;
	const struct cf_content *root = &s->victim->root;
	const struct cf_intent_doc intent = {.run = {7}, .time_ns = 1, .root = root->id, .root_size = root->size, .root_level = root->level};
	char text[] = "x";
	const struct cf_lease_doc end = {
		.run = {7}, .number = 1, .is_ended = true, .time_ns = 1, .host = text, .user = text, .source = text};
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_prune_figures figures;
	struct cf_repo *fresh;
	struct cf_id id;

	assert_int_equal(cf_intent_encode(&intent, &plain, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_INTENT, cf_buf_span(&plain), &id, NULL, NULL), 0);
	cf_buf_clear(&plain);
	assert_int_equal(cf_lease_encode(&end, &plain, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_LEASE, cf_buf_span(&plain), &id, NULL, NULL), 0);
	cf_buf_release(&plain);
	assert_int_equal(forget(s, &s->victim->id), 0);
	assert_int_equal(cf_prune_run(s->repo, &now, &figures, NULL), 0);
	fresh = fixture_open(&s->f);
	assert_int_equal(fixture_restore_equals(fresh, s->victim, 1, NULL), 1);
	cf_repo_close(fresh);
}

/* A segment that lists for each pack junk of the same size, with the table that the pack has. */
struct forgery {
	struct scene *s;
	struct cf_segment segment;
	bool empty; /* the real packs are listed as well, with something that nobody needs; all other segments are superseded */
};

static void list_pack(struct forgery *forgery, const struct cf_segment_pack *pack)
{
	struct cf_segment *segment = &forgery->segment;

	segment->packs = realloc(segment->packs, (segment->n_packs + 1) * sizeof(*segment->packs));
	assert_non_null(segment->packs);
	segment->packs[segment->n_packs++] = *pack;
}

static int forge_pack(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct forgery *forgery = user;
	struct cf_backend *store = forgery->s->f.store;
	struct cf_segment_pack pack = {0};
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_span span;

	if (cf_pack_read_table(forgery->s->repo, name, size, &pack, NULL) < 0)
		return 0; /* forged before */
	if (pack.type == CF_OBJECT_TREE_PACK) { /* so that prune finds what is needed */
		list_pack(forgery, &pack);
		return 0;
	}
	if (forgery->empty) {
		struct cf_segment_pack part = {0};

		assert_int_equal(cf_pack_read_table(forgery->s->repo, name, size, &part, err), 0);
		part.table.n_blobs = 1;
		part.table.n_chunks = part.table.blobs[0].n_chunks;
		for (size_t i = 0; i < part.table.n_chunks; i++)
			part.table.chunks[i].id.bytes[3] ^= 1;
		list_pack(forgery, &part);
	}
	assert_int_equal(cf_buf_resize(&bytes, size, NULL), 0);
	memset(bytes.data, (int)forgery->s->n_forged, bytes.len);
	memcpy(bytes.data, name, sizeof(*name)); /* each its own */
	span = cf_buf_span(&bytes);
	assert_int_equal(cf_sha256(&span, 1, &pack.name, NULL), 0);
	assert_int_equal(store->ops->put(store, cf_pack_name(&pack.name).s, &span, 1, NULL), 0);
	list_pack(forgery, &pack);
	cf_buf_release(&bytes);
	return 0;
}

static void forge_packs(struct scene *s, bool empty)
{
	struct forgery forgery = {.s = s, .empty = empty};
	struct cf_id id, *ids = NULL;
	size_t n = 0;

	s->n_forged++;
	assert_int_equal(cf_object_list(s->repo, CF_OBJECT_INDEX, &ids, &n, NULL), 0);
	assert_int_equal(cf_object_each_pack(s->repo, forge_pack, &forgery, NULL), 0);
	if (empty) {
		forgery.segment.supersedes = ids;
		forgery.segment.n_supersedes = n;
		ids = NULL;
	}
	assert_int_equal(cf_segment_put(s->repo, &forgery.segment, &id, NULL, NULL), 0);
	/* So that nothing but the forged one is known of what real packs hold. */
	for (size_t i = 0; i < forgery.segment.n_supersedes; i++)
		assert_int_equal(cf_object_remove(s->repo, CF_OBJECT_INDEX, &forgery.segment.supersedes[i], NULL), 0);
	cf_segment_release(&forgery.segment);
	free(ids);
}

static void reopen(struct scene *s)
{
	cf_repo_close(s->repo);
	s->repo = fixture_open(&s->f);
}

/* A handle that knows nothing yet prunes; what it removes is not needed. */
static void prune_anew(struct scene *s)
{
	struct cf_prune_figures figures;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	reopen(s);
	rc = cf_prune_run(s->repo, &now, &figures, &err);
	if (rc < 0 && rc != CF_ERR_DAMAGED)
		fail_msg("%s", err.text);
}

static int count_packs(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct scene *s = user;
	struct cf_segment_pack pack = {0};

	/* Those that are what they say. */
	if (cf_pack_read_table(s->repo, name, size, &pack, NULL) == 0)
		s->n_packs++;
	cf_pack_table_release(&pack.table);
	return 0;
}

static size_t good_packs(struct scene *s)
{
	s->n_packs = 0;
	assert_int_equal(cf_object_each_pack(s->repo, count_packs, s, NULL), 0);
	return s->n_packs;
}

static void junk_of_the_right_size_removes_no_pack(void **state)
{
	struct scene *s = *state;
	size_t n = good_packs(s);

	/* Which of several copies comes first is chance. */
	for (unsigned i = 0; i < 4; i++)
		forge_packs(s, false);
	prune_anew(s);
	prune_anew(s);
	assert_int_equal(good_packs(s), n);
	assert_restores(s, &s->victim->id, 1);
	assert_restores(s, &s->other->id, 9);
}

static void ignore(void *user, enum cf_repair_kind kind, const char *object, const char *text)
{
}

static struct cf_repair_figures repair(struct scene *s, bool is_dry_run)
{
	const struct cf_repair_options options = {.host = "h", .user = "u", .read_percent = 100, .is_dry_run = is_dry_run};
	struct cf_repair_figures figures;
	struct cf_err err = CF_ERR_INIT;

	if (cf_repair_run(s->repo, &options, ignore, NULL, &figures, &err) < 0)
		fail_msg("%s", err.text);
	return figures;
}

static void a_segment_with_wrong_tables_removes_no_pack(void **state)
{
	struct scene *s = *state;
	size_t n = good_packs(s);

	forge_packs(s, true);
	prune_anew(s);
	prune_anew(s);
	assert_int_equal(good_packs(s), n);
	assert_string_not_equal(check(s), "");
	repair(s, true);
	assert_string_not_equal(check(s), "");
	assert_int_equal(repair(s, false).segments_superseded, 1);
	assert_string_equal(check(s), "");
	assert_restores(s, &s->victim->id, 1);
	assert_restores(s, &s->other->id, 9);
}

/* Chunks, each once, as whole ones. */
struct victims {
	struct cf_table_chunk chunks[1000];
	enum cf_object_type types[1000];
	size_t n;
};

static int note_victim(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct victims *v = user;

	if (v->n && cf_id_equal(&v->chunks[v->n - 1].id, id))
		return 0;
	assert_true(v->n < sizeof(v->chunks) / sizeof(v->chunks[0]));
	v->types[v->n] = place->pack_type;
	v->chunks[v->n++] = (struct cf_table_chunk){.id = *id, .raw_len = place->raw_len};
	return 0;
}

static int list_name(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct cf_tomb_doc *tomb = user;

	(void)size;
	(void)err;
	tomb->packs = realloc(tomb->packs, (tomb->n_packs + 1) * sizeof(*tomb->packs));
	assert_non_null(tomb->packs);
	tomb->packs[tomb->n_packs++] = *name;
	return 0;
}

static void condemn_all(struct scene *s)
{
	struct cf_tomb_doc tomb = {.time_ns = 1, .host = strdup("h"), .user = strdup("u"), .program = strdup("p")};
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_id id;

	assert_int_equal(cf_object_each_pack(s->repo, list_name, &tomb, NULL), 0);
	assert_int_equal(cf_tomb_encode(&tomb, &plain, NULL), 0);
	assert_int_equal(cf_object_put(s->repo, CF_OBJECT_TOMB, cf_buf_span(&plain), &id, NULL, NULL), 0);
	cf_tomb_doc_release(&tomb);
	cf_buf_release(&plain);
}

/* Packs of the right form whose chunks have the ids of others, and other bytes. */
static void store_false_copies(struct scene *s, unsigned n_sets)
{
	const struct cf_packer_options options = {0};
	struct victims *v = calloc(1, sizeof(*v));
	struct cf_buf plain = CF_BUF_INIT;
	struct cf_coder_slot *slot;

	assert_non_null(v);
	assert_int_equal(cf_catalog_each(s->repo->catalog, note_victim, v, NULL), 0);
	assert_int_equal(cf_repo_take_coder(s->repo, &slot, NULL), 0);
	for (unsigned set = 1; set <= n_sets; set++) {
		struct cf_packer *packer;
		uint64_t stored;

		assert_int_equal(cf_packer_new(s->repo, &options, &packer, NULL), 0);
		for (size_t i = 0; i < v->n; i++) {
			assert_int_equal(cf_buf_resize(&plain, v->chunks[i].raw_len, NULL), 0);
			memset(plain.data, (int)set, plain.len);
			assert_int_equal(cf_blob_store(packer, slot, v->types[i], CF_CODEC_RAW, cf_buf_span(&plain), cf_span_of(NULL, 0),
						       cf_buf_span(&plain), &v->chunks[i], 1, NULL), 0);
		}
		assert_int_equal(cf_packer_finish(packer, NULL), 0);
		cf_packer_free(packer);
		assert_int_equal(cf_catalog_publish(s->repo->catalog, true, &stored, NULL), 0);
	}
	cf_repo_give_coder(s->repo, slot);
	cf_buf_release(&plain);
	free(v);
}

static void assert_both_restore(struct scene *s)
{
	assert_restores(s, &s->victim->id, 1);
	assert_restores(s, &s->other->id, 9);
}

/* Nothing is lost in repair, nor in prune after that. */
static void assert_mended(struct scene *s)
{
	assert_int_equal(repair(s, false).lost, 0);
	assert_both_restore(s);
	prune_anew(s);
	prune_anew(s);
	assert_string_equal(check(s), "");
	assert_both_restore(s);
}

static void false_copies_keep_nobody_from_reading(void **state)
{
	struct scene *s = *state;

	store_false_copies(s, 6);
	assert_both_restore(s);
	reopen(s);
	assert_non_null(strstr(check(s), "is not what its id says"));
	assert_mended(s);
}

/* A tomb says of all packs that there are that they go, before there are false copies. */
static void a_forged_tomb_loses_nothing_in_repair(void **state)
{
	struct scene *s = *state;

	condemn_all(s);
	store_false_copies(s, 2);
	assert_both_restore(s);
	reopen(s);
	assert_mended(s);
}

/* Two backups of the same at once: everything is there twice. */
static void back_up_twice_at_once(struct scene *s, struct cf_snapshot *snapshots[2])
{
	const struct cf_writer_options options = {.source = "twice:", .driver = "test", .host = "h", .user = "u"};
	struct cf_repo *repos[2] = {s->repo, fixture_open(&s->f)};
	struct cf_writer *writers[2];

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(cf_writer_open(repos[i], &options, &writers[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(source_push(500, cf_writer_sink(writers[i]), NULL), 0);
		assert_int_equal(cf_writer_commit(writers[i], &snapshots[i], NULL), 0);
		cf_writer_close(writers[i]);
	}
	cf_repo_close(repos[1]);
}

struct packs {
	struct cf_id names[32];
	size_t n;
};

static int note_pack(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct packs *packs = user;

	packs->names[packs->n++] = *name;
	return 0;
}

static void damage(struct scene *s, const struct cf_id *name, bool truncate)
{
	const struct cf_pack_name pack = cf_pack_name(name);
	const char *object = pack.s;
	uint64_t size;

	assert_int_equal(s->f.store->ops->size(s->f.store, object, &size, NULL), 0);
	if (truncate)
		assert_int_equal(cf_memory_truncate(s->f.store, object, size / 2, NULL), 0);
	else
		assert_int_equal(cf_memory_flip(s->f.store, object, size / 2, 1, NULL), 0);
}

/* Whichever of two packs with the same in them is damaged, what it holds is left. */
static void the_good_copy_stays(void **state)
{
	struct scene *s = *state;
	struct cf_snapshot *snapshots[2];
	struct packs packs = {0};

	assert_int_equal(forget(s, &s->victim->id), 0);
	assert_int_equal(forget(s, &s->other->id), 0);
	prune(s);
	back_up_twice_at_once(s, snapshots);
	assert_int_equal(cf_object_each_pack(s->repo, note_pack, &packs, NULL), 0);
	assert_int_equal(packs.n, 4);
	for (size_t i = 0; i < 2 * packs.n; i++) {
		struct cf_backend *whole = s->f.store;

		assert_int_equal(cf_memory_copy(whole, &s->f.store, NULL), 0);
		damage(s, &packs.names[i / 2], i % 2 == 0);
		prune_anew(s);
		prune_anew(s);
		assert_restores(s, &snapshots[0]->id, 500);
		cf_repo_close(s->repo);
		cf_backend_close(s->f.store);
		s->f.store = whole;
		s->repo = fixture_open(&s->f);
	}
	for (unsigned i = 0; i < 2; i++)
		cf_snapshot_free(snapshots[i]);
}


/* Set aside every pack and snapshot there is. */
struct aside {
	struct cf_quarantined items[32];
	size_t n;
};

static int note_aside(void *user, const struct cf_id *name, uint64_t size, struct cf_err *err)
{
	struct aside *aside = user;

	aside->items[aside->n++] = (struct cf_quarantined){.id = *name, .why = (char *)(uintptr_t)"x"};
	return 0;
}

static int compare_aside(const void *a, const void *b)
{
	return cf_id_compare(&((const struct cf_quarantined *)a)->id, &((const struct cf_quarantined *)b)->id);
}

static void set_all_aside(struct scene *s)
{
	struct aside packs = {0}, snapshots = {0};
	struct cf_quarantine_record record = {.host = (char *)(uintptr_t)"h",
					      .user = (char *)(uintptr_t)"u",
					      .program = (char *)(uintptr_t)"p",
					      .packs = packs.items,
					      .snapshots = snapshots.items};

	assert_int_equal(cf_object_each_pack(s->repo, note_aside, &packs, NULL), 0);
	note_aside(&snapshots, &s->victim->id, 0, NULL);
	note_aside(&snapshots, &s->other->id, 0, NULL);
	record.n_packs = packs.n;
	record.n_snapshots = snapshots.n;
	qsort(packs.items, packs.n, sizeof(packs.items[0]), compare_aside);
	qsort(snapshots.items, snapshots.n, sizeof(snapshots.items[0]), compare_aside);
	assert_int_equal(cf_quarantine_put(s->repo, &record, NULL), 0);
}

static void what_is_good_is_not_hidden_by_quarantine(void **state)
{
	struct scene *s = *state;
	const struct cf_object_name object = cf_object_name(CF_OBJECT_SNAPSHOT, &s->victim->id);
	const char *name = object.s;

	set_all_aside(s);
	reopen(s);
	assert_non_null(strstr(check(s), "set aside and needed, but it is good"));
	assert_null(strstr(check(s), "lost"));
	assert_int_equal(cf_memory_flip(s->f.store, name, 100, 1, NULL), 0);
	assert_non_null(strstr(check(s), name));
	assert_int_equal(cf_memory_flip(s->f.store, name, 100, 1, NULL), 0);
	repair(s, false);
	assert_string_equal(check(s), "");
}

static void a_snapshot_that_was_set_aside_is_named_until_it_is_forgotten(void **state)
{
	struct scene *s = *state;
	const struct cf_object_name object = cf_object_name(CF_OBJECT_SNAPSHOT, &s->victim->id);
	const char *name = object.s;
	struct cf_prune_figures figures;

	assert_int_equal(cf_memory_flip(s->f.store, name, 100, 1, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(repair(s, false).snapshots_lost, 1);
	assert_non_null(strstr(check(s), name));
	assert_int_equal(cf_prune_run(s->repo, &now, &figures, NULL), CF_ERR_DAMAGED);
	/* The good copy comes back, and all of it is there. */
	assert_int_equal(cf_memory_flip(s->f.store, name, 100, 1, NULL), 0);
	prune(s);
	assert_string_equal(check(s), "");
	assert_restores(s, &s->victim->id, 1);
	assert_int_equal(cf_memory_flip(s->f.store, name, 100, 1, NULL), 0);
	assert_int_equal(forget(s, &s->victim->id), 0);
	assert_string_equal(check(s), "");
	prune(s);
	assert_restores(s, &s->other->id, 9);
}


static void append_record(struct scene *s, const char *command, const struct cf_id *snapshot)
{
	struct cf_audit_record record = {.host = strdup("db1"), .user = strdup("u"), .command = strdup(command), .error = strdup("")};

	record.about = calloc(1, sizeof(*record.about));
	assert_non_null(record.about);
	record.n_about = 1;
	record.about[0] = (struct cf_audit_about){.key = strdup("snapshot"), .value = strdup(cf_id_text(snapshot).s)};
	assert_int_equal(cf_audit_append(s->repo, &record, NULL), 0);
	cf_audit_record_release(&record);
}

static void remove_snapshot(struct scene *s, const struct cf_id *id)
{
	assert_int_equal(cf_object_remove(s->repo, CF_OBJECT_SNAPSHOT, id, NULL), 0);
}

static size_t count_missing(struct scene *s, enum cf_check_log log, const struct cf_id *expected)
{
	const struct cf_check_missing_options options = {.log = log};
	struct cf_id *missing = NULL;
	size_t n = 0;

	assert_int_equal(cf_check_missing(s->repo, &options, &missing, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		assert_true(cf_id_equal(&missing[i], expected));
	free(missing);
	return n;
}

static void assert_prune_waits(struct scene *s)
{
	struct cf_prune_figures figures;

	assert_int_equal(cf_prune_run(s->repo, &now, &figures, NULL), CF_ERR_DAMAGED);
	assert_int_equal(figures.packs_condemned + figures.packs_removed, 0);
}

static void the_log_misses_the_newest_snapshot_until_that_is_accepted(void **state)
{
	struct scene *s = *state;
	struct cf_id nobody = {{1}};

	append_record(s, "backup", &s->victim->id);
	append_record(s, "backup", &s->other->id);
	append_record(s, "restore", &nobody);
	assert_string_equal(check(s), "");
	assert_int_equal(count_missing(s, CF_CHECK_LOG_ALL, NULL), 0);
	remove_snapshot(s, &s->other->id);
	assert_non_null(strstr(check(s), "the audit log of db1 has it (record 2)"));
	assert_int_equal(count_missing(s, CF_CHECK_LOG_ALL, &s->other->id), 1);
	assert_int_equal(count_missing(s, CF_CHECK_LOG_NEWEST, &s->other->id), 1);
	assert_prune_waits(s);
	assert_int_equal(forget(s, &s->other->id), 0);
	assert_string_equal(check(s), "");
	/* Once is enough, and what nobody knew of is no snapshot. */
	assert_int_equal(forget(s, &s->other->id), CF_ERR_BUSY);
	assert_int_equal(forget(s, &nobody), CF_ERR_BUSY);
	/* Forgotten, and what the next one saw of it is no matter. */
	assert_int_equal(forget(s, &s->victim->id), 0);
	assert_string_equal(check(s), "");
}

static void a_later_snapshot_misses_one_until_that_is_accepted(void **state)
{
	struct scene *s = *state;

	remove_snapshot(s, &s->victim->id);
	assert_non_null(strstr(check(s), "made later, saw it"));
	assert_prune_waits(s);
	assert_int_equal(forget(s, &s->victim->id), 0);
	assert_string_equal(check(s), "");
	prune(s);
	assert_restores(s, &s->other->id, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_root_replaces_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hidden_forged_version_does_not_stop_forget, set_up, tear_down),
		cmocka_unit_test_setup_teardown(false_copies_keep_nobody_from_reading, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forged_tomb_loses_nothing_in_repair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forged_backup_is_nobodys_parent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_version_signed_for_other_tags_counts_for_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_version_that_no_full_key_made_lifts_no_hold, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_forged_end_does_not_undo_an_intent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hold_stays_where_nothing_can_be_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forged_versions_push_nothing_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(junk_of_the_right_size_removes_no_pack, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_segment_with_wrong_tables_removes_no_pack, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_good_copy_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_good_is_not_hidden_by_quarantine, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_snapshot_that_was_set_aside_is_named_until_it_is_forgotten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_log_misses_the_newest_snapshot_until_that_is_accepted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_later_snapshot_misses_one_until_that_is_accepted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
