/* Forgetting snapshots: what is left after every interruption, and what the check knows of it. */

#include "tests/unit/repo_fixture.h"

#include "repo/forget.h"
#include "repo/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct cf_forget_options who = {.host = "h", .user = "u"};

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned version)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_backup(repo, version, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

static int forget(struct cf_repo *repo, const struct cf_id *ids, size_t n, struct cf_err *err)
{
	struct cf_forget_figures figures;

	return cf_forget_run(repo, ids, n, &who, &figures, err);
}

static void forget_one(struct cf_repo *repo, const struct cf_id *id)
{
	struct cf_err err = CF_ERR_INIT;

	if (forget(repo, id, 1, &err) < 0)
		fail_msg("%s", err.text);
}

static struct cf_id retag(struct cf_repo *repo, const struct cf_id *id, const char *tag)
{
	struct cf_snapshot *snapshot;
	struct cf_id after;

	assert_int_equal(cf_snapshot_load(repo, id, &snapshot, NULL), 0);
	assert_int_equal(cf_snapshot_set_tags(repo, snapshot, &tag, 1, &after, NULL), 0);
	cf_snapshot_free(snapshot);
	return after;
}

static struct cf_id hold(struct cf_repo *repo, const struct cf_id *id, const char *reason)
{
	struct cf_hold some = {.since_ns = 7, .reason = (char *)(uintptr_t)reason};
	struct cf_snapshot *snapshot;
	struct cf_id after;

	assert_int_equal(cf_snapshot_load(repo, id, &snapshot, NULL), 0);
	assert_int_equal(reason ? cf_snapshot_set_hold(repo, snapshot, &some, &after, NULL)
				: cf_forget_hold(repo, snapshot, &who, &after, NULL),
			 0);
	cf_snapshot_free(snapshot);
	return after;
}

static struct cf_snapshot_list list_of(struct cf_repo *repo)
{
	struct cf_snapshot_list list;

	assert_int_equal(cf_snapshots_load(repo, NULL, &list, NULL), 0);
	return list;
}

static size_t count_objects(struct cf_repo *repo, enum cf_object_type type)
{
	struct cf_id *ids;
	size_t n;

	assert_int_equal(cf_object_list(repo, type, &ids, &n, NULL), 0);
	free(ids);
	return n;
}

/* The findings of a check, in a fixed place. */
static const char *findings_of(struct cf_repo *repo)
{
	static char text[4096];
	struct cf_buf findings = CF_BUF_INIT;
	int rc = fixture_check(repo, &findings, NULL);

	snprintf(text, sizeof(text), "%.*s", (int)findings.len,
		 findings.len ? (const char *)findings.data : "");
	assert_true(rc == (findings.len ? CF_ERR_DAMAGED : 0));
	cf_buf_release(&findings);
	return text;
}

static void assert_clean(struct cf_repo *repo)
{
	assert_string_equal(findings_of(repo), "");
}

static void forgotten_snapshots_are_gone_and_others_restore(void **state)
{
	struct cf_snapshot *snapshots[4];
	struct cf_forget_figures figures;
	struct cf_snapshot_list list;
	struct cf_id ids[3];
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	for (unsigned i = 0; i < 4; i++)
		snapshots[i] = backup(repo, i + 1);
	ids[0] = snapshots[2]->id;
	ids[1] = snapshots[0]->id;
	ids[2] = snapshots[2]->id; /* twice is once */
	assert_int_equal(cf_forget_run(repo, ids, 3, &who, &figures, NULL), 0);
	assert_int_equal(figures.snapshots, 2);
	assert_int_equal(figures.objects, 2);
	list = list_of(repo);
	assert_int_equal(list.n, 2);
	assert_int_equal(fixture_restore_equals(repo, list.items[0], 2, NULL), 1);
	assert_int_equal(fixture_restore_equals(repo, list.items[1], 4, NULL), 1);
	cf_snapshot_list_release(&list);
	assert_clean(repo);
	assert_int_equal(forget(repo, ids, 3, NULL), CF_ERR_BUSY);
	assert_int_equal(forget(repo, ids, 0, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		cf_snapshot_free(snapshots[i]);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void a_hold_stays_through_tags_and_is_never_forgotten(void **state)
{
	struct cf_snapshot *first, *held;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	struct cf_id id;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	id = hold(repo, &first->id, "audit");
	id = retag(repo, &id, "x");
	assert_int_equal(cf_snapshot_load(repo, &id, &held, NULL), 0);
	assert_string_equal(held->hold->reason, "audit");
	assert_int_equal(held->hold->since_ns, 7);
	assert_int_equal(forget(repo, &id, 1, &err), CF_ERR_BUSY);
	assert_non_null(strstr(err.text, "audit"));
	/* Not by an older version's id either. */
	assert_int_equal(forget(repo, &first->id, 1, &err), CF_ERR_BUSY);
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 3);
	assert_int_equal(count_objects(repo, CF_OBJECT_FORGET), 0);
	id = hold(repo, &id, NULL);
	forget_one(repo, &id);
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 0);
	assert_clean(repo);
	cf_snapshot_free(held);
	cf_snapshot_free(first);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void note_call(void *user, const char *line)
{
	if (strncmp(line, "remove snapshots/", 17) == 0)
		cf_buf_append(user, line + 17, 4, NULL);
	else if (strncmp(line, "put gc/forget/", 14) == 0)
		cf_buf_append_str(user, "put ", NULL);
}

static void oldest_go_first_and_old_versions_before_new_ones(void **state)
{
	struct cf_buf calls = CF_BUF_INIT;
	struct cf_snapshot *first, *second;
	struct cf_backend *trace;
	struct cf_id versions[3], ids[2];
	struct cf_repo *repo;
	char want[64];
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_trace_new(fixture_share(f.store), note_call, &calls, &trace, NULL), 0);
	repo = fixture_open_over(&f, trace, NULL, NULL);
	first = backup(repo, 1);
	second = backup(repo, 2);
	versions[0] = first->id;
	versions[1] = retag(repo, &versions[0], "a");
	versions[2] = retag(repo, &versions[1], "b");
	ids[0] = second->id;
	ids[1] = versions[2];
	assert_int_equal(forget(repo, ids, 2, NULL), 0);
	snprintf(want, sizeof(want), "put %.4s%.4s%.4s%.4sput ", cf_id_text(&versions[0]).s,
		 cf_id_text(&versions[1]).s, cf_id_text(&versions[2]).s, cf_id_text(&second->id).s);
	assert_int_equal(calls.len, strlen(want));
	assert_memory_equal(calls.data, want, calls.len);
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_repo_close(repo);
	cf_buf_release(&calls);
	fixture_release(&f);
}

/* Three snapshots, of which the first two go; the second has an older version. */
struct scene {
	struct fixture f;
	struct cf_id ids[2], last, replaced;
};

static void scene_init(struct scene *s)
{
	struct cf_snapshot *snapshots[3];
	struct cf_repo *repo;

	fixture_init(&s->f, 0);
	repo = fixture_open(&s->f);
	for (unsigned i = 0; i < 3; i++)
		snapshots[i] = backup(repo, i + 1);
	s->ids[0] = snapshots[0]->id;
	s->replaced = snapshots[1]->id;
	s->ids[1] = retag(repo, &s->replaced, "x");
	s->last = snapshots[2]->id;
	for (unsigned i = 0; i < 3; i++)
		cf_snapshot_free(snapshots[i]);
	cf_repo_close(repo);
}

/* After an interruption: no damage, no old version back, the last untouched; then finish. */
static void check_aftermath(struct scene *s)
{
	struct cf_repo *repo = fixture_open(&s->f);
	struct cf_snapshot_list list = list_of(repo);
	struct cf_id left[2];
	size_t n = 0;

	assert_clean(repo);
	assert_in_range(list.n, 1, 3);
	for (size_t i = 0; i < list.n; i++) {
		const struct cf_id *id = &list.items[i]->id;
		unsigned version = cf_id_equal(id, &s->ids[0])	 ? 1
				   : cf_id_equal(id, &s->ids[1]) ? 2
								 : 3;

		assert_true(version < 3 || cf_id_equal(id, &s->last));
		assert_int_equal(fixture_restore_equals(repo, list.items[i], version, NULL), 1);
		if (version < 3)
			left[n++] = *id;
	}
	cf_snapshot_list_release(&list);
	if (n)
		assert_int_equal(forget(repo, left, n, NULL), 0);
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 1);
	assert_clean(repo);
	cf_snapshot_free(backup(repo, 4));
	assert_clean(repo);
	cf_repo_close(repo);
}

/* Whether the fault was reached. */
static bool forget_with_fault(struct scene *s, const struct cf_fault_rule *rule, int *rc_out)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;
	bool reached;

	assert_int_equal(cf_fault_new(fixture_share(s->f.store), &fault, NULL), 0);
	repo = fixture_open_over(&s->f, fault, NULL, NULL);
	assert_non_null(repo);
	cf_fault_set(fault, rule);
	*rc_out = forget(repo, s->ids, 2, &err);
	if (*rc_out < 0)
		assert_true(err.text[0] && err.code == *rc_out);
	reached = cf_fault_failed(fault) > 0;
	cf_fault_set(fault, NULL);
	cf_repo_close(repo);
	return reached;
}

static void each_fault_leaves_whole_snapshots(enum cf_call call, enum cf_fault_kind kind,
					      bool may_succeed)
{
	struct scene s;
	unsigned nth = 0;
	bool reached = true;

	scene_init(&s);
	while (reached) {
		const struct cf_fault_rule rule = {.call = call, .nth = ++nth, .kind = kind};
		struct cf_backend *before = s.f.store;
		int rc;

		assert_int_equal(cf_memory_copy(before, &s.f.store, NULL), 0);
		reached = forget_with_fault(&s, &rule, &rc);
		assert_true(reached ? rc < 0 || may_succeed : rc == 0);
		check_aftermath(&s);
		cf_backend_close(s.f.store);
		s.f.store = before;
	}
	assert_true(nth > 2);
	fixture_release(&s.f);
}

static void nth_remove_failing_leaves_whole_snapshots(void **state)
{
	each_fault_leaves_whole_snapshots(CF_CALL_REMOVE, CF_FAULT_FAIL, false);
}

static void reply_of_nth_remove_lost_leaves_whole_snapshots(void **state)
{
	each_fault_leaves_whole_snapshots(CF_CALL_REMOVE, CF_FAULT_LOST_REPLY, false);
}

static void nth_put_failing_leaves_whole_snapshots(void **state)
{
	each_fault_leaves_whole_snapshots(CF_CALL_PUT, CF_FAULT_FAIL, false);
}

static void dying_before_nth_call_leaves_whole_snapshots(void **state)
{
	each_fault_leaves_whole_snapshots(CF_CALL_ANY, CF_FAULT_STOP, false);
}

static void dying_after_nth_call_leaves_whole_snapshots(void **state)
{
	each_fault_leaves_whole_snapshots(CF_CALL_ANY, CF_FAULT_STOP_AFTER, true);
}

static void a_store_that_refuses_deletes_is_named_and_whole(void **state)
{
	const struct cf_fault_rule rule = {
		.call = CF_CALL_REMOVE, .nth = 1, .is_repeated = true, .code = CF_ERR_ACCESS};
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct scene s;

	scene_init(&s);
	assert_int_equal(cf_fault_new(fixture_share(s.f.store), &fault, NULL), 0);
	repo = fixture_open_over(&s.f, fault, NULL, NULL);
	cf_fault_set(fault, &rule);
	assert_int_equal(forget(repo, s.ids, 2, &err), CF_ERR_ACCESS);
	assert_non_null(strstr(err.text, "may delete"));
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 4);
	assert_clean(repo);
	/* A store that says so beforehand is asked for nothing. */
	fault->caps &= ~(unsigned)CF_BACKEND_CAN_REMOVE;
	assert_int_equal(forget(repo, s.ids, 2, &err), CF_ERR_UNSUPPORTED);
	assert_int_equal(count_objects(repo, CF_OBJECT_FORGET), 1);
	cf_repo_close(repo);
	fixture_release(&s.f);
}

static void remove_behind_its_back(struct fixture *f, const struct cf_id *id)
{
	struct cf_object_name name = cf_object_name(CF_OBJECT_SNAPSHOT, id);

	assert_int_equal(f->store->ops->remove(f->store, name.s, NULL), 0);
}

/* Witnesses may be forgotten: what they saw is then vouched for by the record. */
static void a_vanished_snapshot_is_found_when_its_witnesses_are_forgotten(void **state)
{
	struct cf_snapshot *first, *second, *third;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	second = backup(repo, 2);
	third = backup(repo, 3);
	forget_one(repo, &third->id);
	forget_one(repo, &second->id);
	assert_clean(repo);
	remove_behind_its_back(&f, &first->id);
	assert_non_null(strstr(findings_of(repo), cf_id_text(&first->id).s));
	assert_null(strstr(findings_of(repo), cf_id_text(&second->id).s));
	assert_null(strstr(findings_of(repo), cf_id_text(&third->id).s));
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_snapshot_free(third);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* Forgetting the witness of one that vanished before does not hide it. */
static void a_vanished_snapshot_stays_known_as_such(void **state)
{
	struct cf_snapshot *first, *second;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	second = backup(repo, 2);
	remove_behind_its_back(&f, &first->id);
	forget_one(repo, &second->id);
	assert_non_null(strstr(findings_of(repo), cf_id_text(&first->id).s));
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void a_forgotten_snapshot_put_back_is_found(void **state)
{
	struct cf_buf object = CF_BUF_INIT;
	struct cf_object_name name;
	struct cf_snapshot *first;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	cf_snapshot_free(backup(repo, 2));
	name = cf_object_name(CF_OBJECT_SNAPSHOT, &first->id);
	assert_int_equal(cf_backend_get_all(f.store, name.s, 1 << 20, &object, NULL), 0);
	forget_one(repo, &first->id);
	assert_clean(repo);
	assert_int_equal(cf_backend_put(f.store, name.s, cf_buf_span(&object), NULL), 0);
	assert_non_null(strstr(findings_of(repo), name.s));
	assert_non_null(strstr(findings_of(repo), "put back"));
	forget_one(repo, &first->id);
	assert_clean(repo);
	cf_buf_release(&object);
	cf_snapshot_free(first);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void a_damaged_or_missing_record_is_found(void **state)
{
	struct cf_snapshot *first;
	struct cf_repo *repo;
	struct fixture f;
	struct cf_id *ids;
	size_t n;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	cf_snapshot_free(backup(repo, 2));
	forget_one(repo, &first->id);
	assert_int_equal(cf_object_list(repo, CF_OBJECT_FORGET, &ids, &n, NULL), 0);
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		struct cf_object_name name = cf_object_name(CF_OBJECT_FORGET, &ids[i]);

		assert_int_equal(cf_memory_flip(f.store, name.s, 70, 1, NULL), 0);
		assert_non_null(strstr(findings_of(repo), name.s));
		assert_int_equal(cf_memory_flip(f.store, name.s, 70, 1, NULL), 0);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(f.store->ops->remove(f.store,
						      cf_object_name(CF_OBJECT_FORGET, &ids[i]).s,
						      NULL),
				 0);
	assert_non_null(strstr(findings_of(repo), cf_id_text(&first->id).s));
	free(ids);
	cf_snapshot_free(first);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void a_backup_whose_parent_is_forgotten_goes_on(void **state)
{
	const struct cf_writer_options options = {
		.source = "test:", .driver = "test", .host = "h", .user = "u"};
	struct cf_snapshot *first, *second;
	struct cf_repo *repo, *other;
	struct cf_writer *writer;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	assert_int_equal(cf_writer_open(repo, &options, &writer, NULL), 0);
	other = fixture_open(&f);
	forget_one(other, &first->id);
	cf_repo_close(other);
	assert_int_equal(source_push(2, cf_writer_sink(writer), NULL), 0);
	assert_int_equal(cf_writer_commit(writer, &second, NULL), 0);
	cf_writer_close(writer);
	assert_true(cf_id_equal(&second->parent, &first->id));
	assert_true(second->figures.chunks_known > 0);
	assert_int_equal(fixture_restore_equals(repo, second, 2, NULL), 1);
	assert_clean(repo);
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* A damaged snapshot may be a newer version with a hold: nothing else goes until it is gone. */
static void a_damaged_snapshot_is_forgotten_alone_and_first(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	struct cf_id both[2];
	struct scene s;

	scene_init(&s);
	repo = fixture_open(&s.f);
	assert_int_equal(cf_memory_flip(s.f.store, cf_object_name(CF_OBJECT_SNAPSHOT, &s.ids[1]).s,
					80, 1, NULL),
			 0);
	assert_int_equal(forget(repo, &s.ids[0], 1, &err), CF_ERR_DAMAGED);
	assert_non_null(strstr(err.text, cf_id_text(&s.ids[1]).s));
	both[0] = s.ids[0];
	both[1] = s.ids[1];
	assert_int_equal(forget(repo, both, 2, &err), CF_ERR_DAMAGED);
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 4);
	forget_one(repo, &s.ids[1]);
	assert_int_equal(count_objects(repo, CF_OBJECT_SNAPSHOT), 3);
	assert_clean(repo);
	/* What it replaced is a snapshot again. */
	both[1] = s.replaced;
	assert_int_equal(forget(repo, both, 2, &err), 0);
	assert_clean(repo);
	cf_repo_close(repo);
	fixture_release(&s.f);
}

/* Forgets through another handle as soon as the check has listed the snapshots. */
struct meddler {
	struct scene *scene;
	bool done;
};

static void meddle(void *user, const char *line)
{
	struct meddler *m = user;
	struct cf_repo *repo;

	if (m->done || strncmp(line, "list snapshots", 14) != 0)
		return;
	m->done = true;
	repo = fixture_open(&m->scene->f);
	assert_int_equal(forget(repo, m->scene->ids, 2, NULL), 0);
	cf_repo_close(repo);
}

static void a_check_beside_forget_finds_nothing(void **state)
{
	struct cf_backend *trace;
	struct meddler meddler;
	struct cf_repo *repo;
	struct scene s;

	scene_init(&s);
	meddler = (struct meddler){.scene = &s};
	assert_int_equal(cf_trace_new(fixture_share(s.f.store), meddle, &meddler, &trace, NULL), 0);
	repo = fixture_open_over(&s.f, trace, NULL, NULL);
	assert_clean(repo);
	assert_true(meddler.done);
	assert_clean(repo);
	cf_repo_close(repo);
	fixture_release(&s.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forgotten_snapshots_are_gone_and_others_restore),
		cmocka_unit_test(a_hold_stays_through_tags_and_is_never_forgotten),
		cmocka_unit_test(oldest_go_first_and_old_versions_before_new_ones),
		cmocka_unit_test(nth_remove_failing_leaves_whole_snapshots),
		cmocka_unit_test(reply_of_nth_remove_lost_leaves_whole_snapshots),
		cmocka_unit_test(nth_put_failing_leaves_whole_snapshots),
		cmocka_unit_test(dying_before_nth_call_leaves_whole_snapshots),
		cmocka_unit_test(dying_after_nth_call_leaves_whole_snapshots),
		cmocka_unit_test(a_store_that_refuses_deletes_is_named_and_whole),
		cmocka_unit_test(a_vanished_snapshot_is_found_when_its_witnesses_are_forgotten),
		cmocka_unit_test(a_vanished_snapshot_stays_known_as_such),
		cmocka_unit_test(a_forgotten_snapshot_put_back_is_found),
		cmocka_unit_test(a_damaged_or_missing_record_is_found),
		cmocka_unit_test(a_backup_whose_parent_is_forgotten_goes_on),
		cmocka_unit_test(a_damaged_snapshot_is_forgotten_alone_and_first),
		cmocka_unit_test(a_check_beside_forget_finds_nothing),
	};

	return cmocka_run_group_tests_name("repo: forget", tests, NULL, NULL);
}
