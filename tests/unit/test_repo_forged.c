/* What the holder of a key of role write can store, and what it must not make of other hosts' backups. */

#include "tests/unit/repo_fixture.h"

#include "repo/catalog.h"
#include "repo/forget.h"
#include "repo/format/snapshot_doc.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/prune.h"
#include "repo/retain.h"
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

static void a_version_without_the_hold_lifts_no_hold(void **state)
{
	struct scene *s = *state;
	struct cf_id held = hold(s, &s->victim->id), forged = forge(s, &held, &s->victim->root), free_again;
	struct cf_snapshot_list list;
	const struct cf_snapshot *listed;

	forged = forge(s, &forged, &s->victim->root);
	assert_int_equal(cf_snapshots_load(s->repo, NULL, &list, NULL), 0);
	assert_int_equal(list.n, 2);
	listed = find_listed(&list, &forged);
	assert_non_null(listed);
	assert_string_equal(listed->hold->reason, "audit");
	assert_int_equal(forget(s, &forged), CF_ERR_BUSY);
	assert_int_equal(forget(s, &held), CF_ERR_BUSY);
	assert_int_equal(cf_forget_hold(s->repo, listed, &who, &free_again, NULL), 0);
	cf_snapshot_list_release(&list);
	assert_string_equal(check(s), "");
	assert_int_equal(forget(s, &free_again), 0);
	assert_string_equal(check(s), "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(another_root_replaces_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hidden_forged_version_does_not_stop_forget, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_version_without_the_hold_lifts_no_hold, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_hold_stays_where_nothing_can_be_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(forged_versions_push_nothing_out, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
