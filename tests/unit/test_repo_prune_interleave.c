/*
 * Two that work on one repository, in every order of their steps: at each call of one to the store the other runs from start to end,
 * before it, or between a list being made and being looked at. tests/model explores more orders of a simpler thing.
 */

#include "tests/unit/repo_fixture.h"

#include "backends/wrap.h"
#include "repo/forget.h"
#include "repo/key_admin.h"
#include "repo/key_list.h"
#include "repo/prune.h"
#include "repo/repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HOUR_NS (INT64_C(3600) * 1000000000)
#define START_NS (INT64_C(1800000000) * 1000000000)

enum {
	N_VERSIONS = 4,
	CALLS_MAX = 2000,
	RESTORED = 16 /* at one call in so many; it takes most of the time */
};

/* Versions 1 to 4; 1 and 2 are forgotten, what only they need is condemned, and the time to remove it has come. */
struct history {
	struct fixture f;
	struct cf_snapshot *snapshots[N_VERSIONS];
	struct cf_secret *spare; /* another key file */
	char spare_id[2 * CF_SLOT_ID_LEN + 1];
};

/* What one of the two does, over a handle of its own. */
typedef int act_fn(struct history *h, struct cf_repo *repo, struct cf_err *err);

/* A store that lets the other one run at the at'th call; one that is killed then gets no further. */
struct turn {
	struct cf_wrap wrap;
	struct history *h;
	act_fn *other; /* NULL: nobody */
	bool kills;
	unsigned at;
	atomic_uint n_calls;
	atomic_bool is_dead;
	int other_rc;
	struct cf_err other_err;
};

static int act_alone(struct history *h, struct cf_backend *store, act_fn *act, struct cf_err *err)
{
	struct cf_repo *repo = fixture_open_over(&h->f, store, NULL, err);
	int rc = repo ? act(h, repo, err) : err->code;

	cf_repo_close(repo);
	return rc;
}

static int take_turn(struct turn *turn, struct cf_err *err)
{
	if (atomic_fetch_add(&turn->n_calls, 1) == turn->at) {
		if (turn->other)
			turn->other_rc = act_alone(turn->h, fixture_share(turn->h->f.store), turn->other,
						   &turn->other_err);
		atomic_store(&turn->is_dead, turn->kills);
	}
	return atomic_load(&turn->is_dead) ? cf_err_set(err, CF_ERR_FAILED, "killed") : 0;
}

static int turn_put(struct cf_backend *backend, const char *name, const struct cf_span *parts, size_t n,
		    struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	int rc = take_turn((struct turn *)backend, err);

	return rc < 0 ? rc : inner->ops->put(inner, name, parts, n, err);
}

static int turn_get(struct cf_backend *backend, const char *name, uint64_t off, size_t len, struct cf_buf *out,
		    struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	int rc = take_turn((struct turn *)backend, err);

	return rc < 0 ? rc : inner->ops->get(inner, name, off, len, out, err);
}

static int turn_size(struct cf_backend *backend, const char *name, uint64_t *size_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	int rc = take_turn((struct turn *)backend, err);

	return rc < 0 ? rc : inner->ops->size(inner, name, size_out, err);
}

static int turn_time(struct cf_backend *backend, const char *name, int64_t *ns_out, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	int rc = take_turn((struct turn *)backend, err);

	return rc < 0 ? rc : inner->ops->time(inner, name, ns_out, err);
}

struct listed {
	char *names[512];
	uint64_t sizes[512];
	size_t n;
};

static int note_listed(void *user, const char *name, uint64_t size)
{
	struct listed *listed = user;

	if (listed->n == sizeof(listed->names) / sizeof(listed->names[0]))
		return CF_ERR_NOMEM;
	listed->sizes[listed->n] = size;
	listed->names[listed->n] = strdup(name);
	return listed->names[listed->n++] ? 0 : CF_ERR_NOMEM;
}

static int turn_list(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user,
		     struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	struct listed listed = {0};
	int rc = take_turn((struct turn *)backend, err);

	if (rc == 0)
		rc = inner->ops->list(inner, prefix, note_listed, &listed, err);
	if (rc == 0)
		rc = take_turn((struct turn *)backend, err);
	for (size_t i = 0; i < listed.n; i++) {
		if (rc == 0)
			rc = fn(user, listed.names[i], listed.sizes[i]);
		free(listed.names[i]);
	}
	return rc;
}

static int turn_remove(struct cf_backend *backend, const char *name, struct cf_err *err)
{
	int rc = take_turn((struct turn *)backend, err);

	return rc < 0 ? rc : cf_wrap_remove(backend, name, err);
}

static void turn_close(struct cf_backend *backend)
{
	(void)backend; /* looked at afterwards */
}

static const struct cf_backend_ops turn_ops = {.put = turn_put,
					       .get = turn_get,
					       .size = turn_size,
					       .time = turn_time,
					       .list = turn_list,
					       .remove = turn_remove,
					       .close = turn_close};

/* What they do. */

/* Version 2: it needs what is condemned, and has to do without. */
static int back_up(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	struct cf_snapshot *snapshot = NULL;
	int rc = fixture_backup(repo, 2, &snapshot, err);

	(void)h;
	cf_snapshot_free(snapshot);
	return rc;
}

static int prune_with(struct cf_repo *repo, bool now, struct cf_err *err)
{
	const struct cf_prune_options options = {.host = "h", .user = "u", .grace_ns = 24 * HOUR_NS, .now = now};
	struct cf_prune_figures figures;

	return cf_prune_run(repo, &options, &figures, err);
}

static int prune(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	(void)h;
	return prune_with(repo, false, err);
}

static int prune_now(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	(void)h;
	return prune_with(repo, true, err);
}

static int forget(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct cf_forget_figures figures;

	return cf_forget_run(repo, &h->snapshots[2]->id, 1, &who, &figures, err);
}

static int forget_and_prune(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	int rc = forget(h, repo, err);

	return rc < 0 ? rc : prune_now(h, repo, err);
}

static int tag(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	const char *const tags[] = {"kept"};
	struct cf_id id;

	return cf_snapshot_set_tags(repo, h->snapshots[2], tags, 1, &id, err);
}

static int tag_and_forget_old(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	int rc = tag(h, repo, err);

	/* Of what was changed it forgets nothing. */
	if (rc == 0 && forget(h, repo, err) == 0)
		rc = cf_err_set(err, CF_ERR_FAILED, "a version that was replaced was forgotten");
	cf_err_clear(err);
	return rc;
}

/* Damage that is none is a failure. */
static int check(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	struct cf_buf findings = CF_BUF_INIT;
	int rc = fixture_check(repo, &findings, err);

	(void)h;
	if (findings.len)
		rc = cf_err_set(err, CF_ERR_DAMAGED, "%.*s", (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
	return rc;
}

static void note_repaired(void *user, enum cf_repair_kind kind, const char *object, const char *text)
{
	if (kind != CF_REPAIR_STEP)
		cf_buf_printf(user, NULL, "%s: %s\n", object, text);
}

static int repair(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_repair_options options = {.read_percent = 100, .host = "h", .user = "u"};
	struct cf_repair_figures figures;
	struct cf_buf findings = CF_BUF_INIT;
	int rc = cf_repair_run(repo, &options, note_repaired, &findings, &figures, err);

	(void)h;
	if (findings.len || (rc == 0 && (figures.packs_indexed || figures.packs_quarantined || figures.lost)))
		rc = cf_err_set(err, CF_ERR_DAMAGED, "it found: %.*s", (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
	return rc;
}

static void history_init(struct history *h)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;

	fixture_init(&h->f, 0);
	cf_memory_set_clock(h->f.store, START_NS);
	repo = fixture_open(&h->f);
	for (unsigned i = 0; i < N_VERSIONS; i++)
		assert_int_equal(fixture_backup(repo, i + 1, &h->snapshots[i], &err), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct cf_forget_options who = {.host = "h", .user = "u"};
		struct cf_forget_figures figures;

		assert_int_equal(cf_forget_run(repo, &h->snapshots[i]->id, 1, &who, &figures, &err), 0);
	}
	assert_int_equal(prune_with(repo, false, &err), 0);
	cf_repo_close(repo);
}

static void history_release(struct history *h)
{
	for (unsigned i = 0; i < N_VERSIONS; i++)
		cf_snapshot_free(h->snapshots[i]);
	fixture_release(&h->f);
}

/* The versions that snapshots are of, as bits. Now and then they are restored as well; what is lost the check finds, too. */
static unsigned look_at_all(struct history *h, const char *when, unsigned at)
{
	struct cf_snapshot_list list = {0};
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open(&h->f);
	unsigned found = 0;

	assert_int_equal(cf_snapshots_load(repo, NULL, &list, &err), 0);
	assert_int_equal(list.n_damaged, 0);
	for (size_t i = 0; i < list.n; i++) {
		unsigned version = N_VERSIONS;

		/* What is equal has equal roots. */
		while (version > 1 && !cf_id_equal(&list.items[i]->root.id, &h->snapshots[version - 1]->root.id))
			version--;
		if (at % RESTORED == 0 && fixture_restore_equals(repo, list.items[i], version, &err) != 1)
			fail_msg("%s, call %u: version %u does not restore: %s", when, at, version, err.text);
		found |= 1u << version;
	}
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
	return found;
}

static void assert_clean(struct history *h, const char *when, unsigned at)
{
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_repo *repo = fixture_open(&h->f);

	if (fixture_check(repo, &findings, NULL) < 0)
		fail_msg("%s, call %u: %.*s", when, at, (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
	cf_repo_close(repo);
}

struct scene {
	act_fn *one, *other;
	bool kills;	/* the one, at its call; only then the other runs */
	bool forgets;	/* version 3 may be gone */
	bool yields;	/* the one may fail, shut out by the other */
	unsigned step;	/* of the calls one in so many; 0: each */
	const char *name;
};

static bool is_fine(int rc)
{
	return rc == 0 || rc == CF_ERR_BUSY;
}

/* False when the one made fewer calls than that. */
static bool play(struct history *h, const struct scene *scene, unsigned at)
{
	struct cf_backend *original = h->f.store;
	struct cf_err err = CF_ERR_INIT;
	unsigned found, expected = 1u << 4 | (scene->forgets ? 0 : 1u << 3);
	struct turn *turn;
	bool reached;
	int rc;

	assert_int_equal(cf_memory_copy(original, &h->f.store, NULL), 0);
	cf_memory_set_clock(h->f.store, START_NS + 25 * HOUR_NS);
	turn = cf_wrap_new(sizeof(*turn), &turn_ops, h->f.store, NULL);
	assert_non_null(turn);
	turn->h = h;
	turn->other = scene->kills ? NULL : scene->other;
	turn->kills = scene->kills;
	turn->at = at;
	rc = act_alone(h, &turn->wrap.base, scene->one, &err);
	reached = atomic_load(&turn->n_calls) > at;
	if (!scene->kills && !scene->yields && !is_fine(rc))
		fail_msg("%s, call %u: the one: %s", scene->name, at, err.text);
	if (!is_fine(turn->other_rc))
		fail_msg("%s, call %u: the other: %s", scene->name, at, turn->other_err.text);
	free(turn->wrap.base.url);
	free(turn);
	cf_err_clear(&err);
	if (scene->kills && !is_fine(act_alone(h, fixture_share(h->f.store), scene->other, &err)))
		fail_msg("%s, call %u: the other: %s", scene->name, at, err.text);
	found = look_at_all(h, scene->name, at);
	if ((found & expected) != expected)
		fail_msg("%s, call %u: a snapshot is lost", scene->name, at);
	if (act_alone(h, fixture_share(h->f.store), prune_now, &err) < 0)
		fail_msg("%s, call %u: prune afterwards: %s", scene->name, at, err.text);
	assert_clean(h, scene->name, at);
	cf_backend_close(h->f.store);
	h->f.store = original;
	return reached;
}

/* Keys: a slot that was removed stays removed. */

static const char *const spare_text = "spare spare spare spare spare spa";
static const struct cf_slot_about about = {.host = "h", .user = "u", .comment = "c"};

static int rotate(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	struct cf_key_rotation rotation;

	return cf_key_rotate(repo, &h->f.credentials, &about, &rotation, err);
}

static int remove_spare(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	const struct cf_key_info *info;
	struct cf_key_list list = {0};
	int rc = cf_key_list_load(repo, &list, err);

	if (rc == 0)
		rc = cf_key_list_find(&list, h->spare_id, &info, err);
	if (rc == 0)
		rc = cf_key_remove(repo, info, false, false, err);
	cf_key_list_release(&list);
	return rc;
}

static int rotate_and_remove(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	int rc = rotate(h, repo, err);

	return rc < 0 ? rc : remove_spare(h, repo, err);
}

/* 1, or 0. */
static int opens_as(struct history *h, const struct cf_credentials *credentials)
{
	const struct cf_credentials own = h->f.credentials;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;

	h->f.credentials = *credentials;
	repo = fixture_open_over(&h->f, fixture_share(h->f.store), NULL, &err);
	h->f.credentials = own;
	cf_repo_close(repo);
	return repo != NULL;
}

static bool play_keys(struct history *h, act_fn *one, act_fn *other, bool is_removed, unsigned at)
{
	const struct cf_credentials spare = {.key_file = h->spare};
	struct cf_backend *original = h->f.store;
	struct cf_err err = CF_ERR_INIT;
	struct turn *turn;
	bool reached;

	assert_int_equal(cf_memory_copy(original, &h->f.store, NULL), 0);
	turn = cf_wrap_new(sizeof(*turn), &turn_ops, h->f.store, NULL);
	assert_non_null(turn);
	turn->h = h;
	turn->other = other;
	turn->at = at;
	if (act_alone(h, &turn->wrap.base, one, &err) < 0)
		fail_msg("call %u: the one: %s", at, err.text);
	/* Half-way through a rotation the key in use may lack an epoch: then nothing is removed. */
	if (turn->other_rc < 0 && turn->other_rc != CF_ERR_KEY)
		fail_msg("call %u: the other: %s", at, turn->other_err.text);
	reached = atomic_load(&turn->n_calls) > at;
	assert_true(opens_as(h, &h->f.credentials));
	if (reached && turn->other_rc == 0 && opens_as(h, &spare) == is_removed)
		fail_msg("call %u: the other key %s", at, is_removed ? "opens again" : "is lost");
	free(turn->wrap.base.url);
	free(turn);
	cf_backend_close(h->f.store);
	h->f.store = original;
	return reached;
}

static void a_removed_key_stays_removed(void **state)
{
	static const struct {
		act_fn *one, *other;
		bool is_removed;
	} pairs[] = {{rotate, remove_spare, true},
		     {remove_spare, rotate, true},
		     {rotate, rotate_and_remove, true},
		     {rotate, rotate, false}};
	struct history h = {0};
	struct cf_err err = CF_ERR_INIT;
	struct cf_credentials spare;
	struct cf_repo *repo;

	(void)state;
	fixture_init(&h.f, 0);
	assert_int_equal(cf_secret_copy(cf_span_str(spare_text), &h.spare, NULL), 0);
	spare = (struct cf_credentials){.key_file = h.spare};
	repo = fixture_open(&h.f);
	assert_int_equal(cf_key_add(repo, CF_ROLE_FULL, &spare, &about, h.spare_id, &err), 0);
	cf_repo_close(repo);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		for (unsigned at = 0; play_keys(&h, pairs[i].one, pairs[i].other, pairs[i].is_removed, at);)
			at++;
	cf_secret_free(h.spare);
	fixture_release(&h.f);
}

static int hold(struct history *h, struct cf_repo *repo, struct cf_err *err)
{
	char reason[] = "kept";
	const struct cf_hold hold = {.since_ns = 5, .reason = reason};
	struct cf_id id;

	return cf_snapshot_set_hold(repo, h->snapshots[2], &hold, &id, err);
}

/* Both, one, or none: what was said to be done is there, and the backup is listed once. */
static void look_at_version(struct history *h, bool is_tagged, bool is_held, unsigned at)
{
	struct cf_snapshot_list list = {0};
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = fixture_open(&h->f);
	size_t n = 0;

	assert_int_equal(cf_snapshots_load(repo, NULL, &list, &err), 0);
	for (size_t i = 0; i < list.n; i++) {
		if (!cf_id_equal(&list.items[i]->root.id, &h->snapshots[2]->root.id))
			continue;
		n++;
		if ((is_tagged && list.items[i]->n_tags == 0) || (is_held && !list.items[i]->hold))
			fail_msg("call %u: what was said to be done is lost", at);
	}
	if (n != 1)
		fail_msg("call %u: listed %zu times", at, n);
	cf_snapshot_list_release(&list);
	cf_repo_close(repo);
}

static void two_changes_of_one_snapshot_lose_none_unsaid(void **state)
{
	struct cf_backend *original;
	struct history h = {0};
	bool reached = true;

	(void)state;
	history_init(&h);
	original = h.f.store;
	for (unsigned at = 0; reached; at++) {
		struct cf_err err = CF_ERR_INIT;
		struct turn *turn;
		int rc;

		assert_int_equal(cf_memory_copy(original, &h.f.store, NULL), 0);
		turn = cf_wrap_new(sizeof(*turn), &turn_ops, h.f.store, NULL);
		assert_non_null(turn);
		turn->h = &h;
		turn->other = hold;
		turn->at = at;
		rc = act_alone(&h, &turn->wrap.base, tag, &err);
		reached = atomic_load(&turn->n_calls) > at;
		assert_true(is_fine(rc) && is_fine(turn->other_rc));
		look_at_version(&h, rc == 0, reached && turn->other_rc == 0, at);
		free(turn->wrap.base.url);
		free(turn);
		cf_backend_close(h.f.store);
		h.f.store = original;
	}
	history_release(&h);
}

static struct scene scenes[] = {
	{back_up, prune, .name = "a backup, and a prune in it"},
	{back_up, forget_and_prune, .forgets = true, .name = "a backup, and forget and prune in it"},
	{prune_now, back_up, .name = "prune --now, and a backup in it"},
	{prune_now, prune_now, .yields = true, .name = "prune --now in prune --now"},
	{prune_now, tag, .name = "prune --now, and a tag in it"},
	{forget, tag, .forgets = true, .name = "forget, and a tag in it"},
	{tag, forget_and_prune, .forgets = true, .name = "a tag, and forget and prune in it"},
	{prune_now, tag_and_forget_old, .name = "prune --now, and a tag and forget in it"},
	{prune_now, back_up, .kills = true, .name = "prune --now killed, and a backup"},
	{back_up, prune, .kills = true, .name = "a backup killed, and a prune"},
	{check, prune, .step = 3, .name = "a check, and a prune in it"},
	{check, forget_and_prune, .step = 3, .forgets = true, .name = "a check, and forget and prune in it"},
	{repair, prune, .step = 3, .name = "a repair, and a prune in it"},
	{repair, forget_and_prune, .step = 3, .forgets = true, .name = "a repair, and forget and prune in it"},
};

static void any_order_of_steps_is_safe(void **state)
{
	const struct scene *scene = *state;
	struct history h;
	unsigned at = 0;

	history_init(&h);
	while (play(&h, scene, at))
		at += FIXTURE_STRIDE * (scene->step ? scene->step : 1);
	assert_in_range(at, 5, CALLS_MAX);
	history_release(&h);
}

int main(void)
{
	struct CMUnitTest tests[sizeof(scenes) / sizeof(scenes[0]) + 2] = {0};
	const size_t n = sizeof(scenes) / sizeof(scenes[0]);

	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){.name = scenes[i].name,
					       .test_func = any_order_of_steps_is_safe,
					       .initial_state = &scenes[i]};
	tests[n] = (struct CMUnitTest)cmocka_unit_test(a_removed_key_stays_removed);
	tests[n + 1] = (struct CMUnitTest)cmocka_unit_test(two_changes_of_one_snapshot_lose_none_unsaid);
	return _cmocka_run_group_tests("any_order_of_steps_is_safe", tests, n + 2, NULL, NULL);
}
