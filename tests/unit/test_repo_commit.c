/* The commit protocol under faults of the store, and damage of what is stored. */

#include "tests/unit/repo_fixture.h"

#include "repo/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned version)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_backup(repo, version, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

static void assert_restores(struct cf_repo *repo, const struct cf_snapshot *snapshot,
			    unsigned version)
{
	struct cf_err err = CF_ERR_INIT;
	int rc = fixture_restore_equals(repo, snapshot, version, &err);

	if (rc != 1)
		fail_msg("version %u: %d %s", version, rc, err.text);
}

static void assert_clean(struct cf_repo *repo)
{
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_check(repo, &findings, &err) != 0)
		fail_msg("%s: %.*s", err.text, (int)findings.len, (const char *)findings.data);
	cf_buf_release(&findings);
}

static void two_backups_restore_as_they_were(void **state)
{
	for (int cipher = CF_CIPHER_AES_256_GCM; cipher <= CF_CIPHER_NONE; cipher++) {
		struct cf_snapshot *first, *second;
		struct cf_repo *repo;
		struct fixture f;

		fixture_init(&f, (enum cf_cipher)cipher);
		repo = fixture_open(&f);
		first = backup(repo, 1);
		second = backup(repo, 2);
		assert_true(cf_id_equal(&second->parent, &first->id));
		assert_true(second->figures.bytes_stored < first->figures.bytes_stored / 2);
		assert_true(second->figures.chunks_delta > 0);
		assert_clean(repo);
		cf_repo_close(repo);
		repo = fixture_open(&f);
		assert_restores(repo, first, 1);
		assert_restores(repo, second, 2);
		assert_int_equal(fixture_restore_equals(repo, second, 1, NULL), 0);
		cf_repo_close(repo);
		cf_snapshot_free(first);
		cf_snapshot_free(second);
		fixture_release(&f);
	}
}

static void dry_run_stores_nothing(void **state)
{
	const struct cf_writer_options options = {
		.source = "test:", .driver = "test", .host = "h", .user = "u", .dry_run = true};
	struct cf_snapshot *snapshot = NULL;
	struct cf_writer *writer;
	struct cf_backend *trace;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_trace_new(fixture_share(f.store), NULL, NULL, &trace, NULL), 0);
	repo = fixture_open_over(&f, trace, NULL, NULL);
	assert_int_equal(cf_writer_open(repo, &options, &writer, NULL), 0);
	assert_int_equal(source_push(1, cf_writer_sink(writer), NULL), 0);
	assert_int_equal(cf_writer_commit(writer, &snapshot, NULL), 0);
	assert_true(cf_id_is_zero(&snapshot->id));
	assert_true(snapshot->figures.bytes_stored > 0);
	assert_int_equal(cf_trace_counts(trace).of[CF_CALL_PUT].n_calls, 0);
	cf_writer_close(writer);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void note_put(void *user, const char *line)
{
	if (strncmp(line, "put ", 4) == 0)
		cf_buf_append(user, line + 4, 1, NULL);
}

static void puts_are_packs_then_index_then_snapshot(void **state)
{
	struct cf_buf order = CF_BUF_INIT;
	struct cf_backend *trace;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_trace_new(fixture_share(f.store), note_put, &order, &trace, NULL), 0);
	repo = fixture_open_over(&f, trace, NULL, NULL);
	cf_snapshot_free(backup(repo, 1));
	assert_int_equal(cf_buf_append(&order, "", 1, NULL), 0);
	/* The lease, packs of data and trees, index, the intent, snapshot. */
	assert_string_equal((const char *)order.data, "gppigs");
	cf_repo_close(repo);
	cf_buf_release(&order);
	fixture_release(&f);
}

/* A second backup with a faulty store; false when the fault was not reached. */
static bool backup_with_fault(struct fixture *f, const struct cf_fault_rule *rule,
			      struct cf_snapshot **out, int *rc_out)
{
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct cf_err err = CF_ERR_INIT;
	bool reached;

	assert_int_equal(cf_fault_new(fixture_share(f->store), &fault, NULL), 0);
	repo = fixture_open_over(f, fault, NULL, NULL);
	assert_non_null(repo);
	cf_fault_set(fault, rule);
	*rc_out = fixture_backup(repo, 2, out, &err);
	if (*rc_out < 0)
		assert_true(err.text[0] && err.code == *rc_out);
	reached = cf_fault_failed(fault) > 0;
	cf_fault_set(fault, NULL);
	cf_repo_close(repo);
	return reached;
}

/* The store as it is after the fault: what was, still is; and life goes on. */
static void check_aftermath(struct fixture *f, const struct cf_snapshot *first)
{
	struct cf_repo *repo = fixture_open(f);
	struct cf_snapshot *third;

	assert_restores(repo, first, 1);
	assert_clean(repo);
	third = backup(repo, 3);
	assert_restores(repo, third, 3);
	assert_clean(repo);
	cf_snapshot_free(third);
	cf_repo_close(repo);
}

static void each_fault_leaves_earlier_snapshots(enum cf_call call, enum cf_fault_kind kind,
						bool may_succeed)
{
	struct cf_snapshot *first;
	struct cf_repo *repo;
	struct fixture f;
	bool reached = true;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	cf_repo_close(repo);
	for (unsigned nth = 1; reached && nth < 100; nth++) {
		const struct cf_fault_rule rule = {.call = call, .nth = nth, .kind = kind};
		struct cf_snapshot *second = NULL;
		struct cf_backend *before = f.store;
		int rc;

		assert_int_equal(cf_memory_copy(before, &f.store, NULL), 0);
		reached = backup_with_fault(&f, &rule, &second, &rc);
		if (reached && !may_succeed)
			assert_true(rc < 0);
		if (!reached)
			assert_int_equal(rc, 0);
		check_aftermath(&f, first);
		cf_snapshot_free(second);
		cf_backend_close(f.store);
		f.store = before;
	}
	assert_false(reached);
	cf_snapshot_free(first);
	fixture_release(&f);
}

static void nth_put_failing_leaves_earlier_snapshots(void **state)
{
	each_fault_leaves_earlier_snapshots(CF_CALL_PUT, CF_FAULT_FAIL, false);
}

static void reply_of_nth_put_lost_leaves_earlier_snapshots(void **state)
{
	each_fault_leaves_earlier_snapshots(CF_CALL_PUT, CF_FAULT_LOST_REPLY, true);
}

static void dying_before_nth_call_leaves_earlier_snapshots(void **state)
{
	/* Behind the commit only what kept prune away is removed. */
	each_fault_leaves_earlier_snapshots(CF_CALL_ANY, CF_FAULT_STOP, true);
}

static void dying_after_nth_put_leaves_earlier_snapshots(void **state)
{
	each_fault_leaves_earlier_snapshots(CF_CALL_PUT, CF_FAULT_STOP_AFTER, true);
}

static void nth_get_failing_is_an_error_never_wrong_bytes(void **state)
{
	struct cf_snapshot *snapshot;
	struct cf_repo *repo;
	struct fixture f;
	bool reached = true;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	cf_snapshot_free(backup(repo, 1));
	snapshot = backup(repo, 2);
	cf_repo_close(repo);
	for (unsigned nth = 1; reached && nth < 100; nth++) {
		const struct cf_fault_rule rule = {.call = CF_CALL_GET, .nth = nth};
		struct cf_err err = CF_ERR_INIT;
		struct cf_backend *fault;
		int rc;

		assert_int_equal(cf_fault_new(fixture_share(f.store), &fault, NULL), 0);
		repo = fixture_open_over(&f, fault, NULL, NULL);
		assert_non_null(repo);
		cf_fault_set(fault, &rule);
		rc = fixture_restore_equals(repo, snapshot, 2, &err);
		reached = cf_fault_failed(fault) > 0;
		assert_true(reached ? rc < 0 && err.text[0] : rc == 1);
		cf_repo_close(repo);
	}
	cf_snapshot_free(snapshot);
	fixture_release(&f);
}

struct objects {
	char names[32][100];
	uint64_t sizes[32];
	size_t n;
};

static int note_object(void *user, const char *name, uint64_t size)
{
	struct objects *o = user;

	if (o->n < 32) {
		snprintf(o->names[o->n], sizeof(o->names[0]), "%s", name);
		o->sizes[o->n++] = size;
	}
	return 0;
}

/* config and the only key slot: the repository does not open. The rest is found by the check. */
static void assert_flip_found(struct fixture *f, const char *name, uint64_t off)
{
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;

	assert_int_equal(cf_memory_flip(f->store, name, off, 0x10, NULL), 0);
	repo = fixture_open_over(f, fixture_share(f->store), NULL, &err);
	if (repo) {
		int rc = fixture_check(repo, &findings, &err);

		cf_buf_append(&findings, "", 1, NULL);
		if (rc != CF_ERR_DAMAGED || !strstr((const char *)findings.data, name))
			fail_msg("%s byte %llu: %d, found %s", name, (unsigned long long)off, rc,
				 (const char *)findings.data);
	} else if (strncmp(name, "keys/", 5) != 0 && strcmp(name, "config") != 0) {
		fail_msg("%s byte %llu: %s", name, (unsigned long long)off, err.text);
	}
	cf_repo_close(repo);
	cf_buf_release(&findings);
	assert_int_equal(cf_memory_flip(f->store, name, off, 0x10, NULL), 0);
}

static void any_flipped_byte_is_found(void **state)
{
	struct objects objects = {.n = 0};
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	cf_snapshot_free(backup(repo, 1));
	cf_snapshot_free(backup(repo, 2));
	cf_repo_close(repo);
	assert_int_equal(f.store->ops->list(f.store, "", note_object, &objects, NULL), 0);
	assert_int_equal(objects.n, 2 + 2 * 4);
	for (size_t i = 0; i < objects.n; i++) {
		uint64_t size = objects.sizes[i], step = size / 40 + 1;

		for (uint64_t off = 0; off < size; off += step)
			assert_flip_found(&f, objects.names[i], off);
		assert_flip_found(&f, objects.names[i], size - 1);
	}
	fixture_release(&f);
}

static void any_missing_object_is_found(void **state)
{
	struct objects objects = {.n = 0};
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	cf_snapshot_free(backup(repo, 1));
	cf_snapshot_free(backup(repo, 2));
	cf_repo_close(repo);
	assert_int_equal(f.store->ops->list(f.store, "", note_object, &objects, NULL), 0);
	for (size_t i = 0; i < objects.n; i++) {
		struct cf_buf findings = CF_BUF_INIT;
		struct cf_backend *copy;

		/* Of the newest snapshot nobody has a record. */
		assert_int_equal(cf_memory_copy(f.store, &copy, NULL), 0);
		assert_int_equal(copy->ops->remove(copy, objects.names[i], NULL), 0);
		repo = fixture_open_over(&f, copy, NULL, NULL);
		if (strncmp(objects.names[i], "packs/", 6) == 0) {
			assert_int_equal(fixture_check(repo, &findings, NULL), CF_ERR_DAMAGED);
			cf_buf_append(&findings, "", 1, NULL);
			assert_non_null(strstr((const char *)findings.data, objects.names[i]));
		} else if (strcmp(objects.names[i], "config") == 0) {
			assert_null(repo);
		}
		cf_repo_close(repo);
		cf_buf_release(&findings);
	}
	fixture_release(&f);
}

static void a_removed_snapshot_is_reported(void **state)
{
	struct cf_snapshot *first;
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_object_name name;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	cf_snapshot_free(backup(repo, 2));
	name = cf_object_name(CF_OBJECT_SNAPSHOT, &first->id);
	assert_int_equal(f.store->ops->remove(f.store, name.s, NULL), 0);
	assert_int_equal(fixture_check(repo, &findings, NULL), CF_ERR_DAMAGED);
	cf_buf_append(&findings, "", 1, NULL);
	assert_non_null(strstr((const char *)findings.data, name.s));
	cf_buf_release(&findings);
	cf_snapshot_free(first);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void canceled_backup_leaves_earlier_snapshots(void **state)
{
	struct cf_snapshot *first, *second = NULL;
	struct cf_repo *repo;
	struct fixture f;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	atomic_store(&f.cancel, 1);
	rc = fixture_backup(repo, 2, &second, &err);
	assert_int_equal(rc, CF_ERR_CANCELED);
	rc = fixture_restore_equals(repo, first, 1, &err);
	assert_int_equal(rc, CF_ERR_CANCELED);
	atomic_store(&f.cancel, 0);
	cf_repo_close(repo);
	check_aftermath(&f, first);
	cf_snapshot_free(first);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_backups_restore_as_they_were),
		cmocka_unit_test(dry_run_stores_nothing),
		cmocka_unit_test(puts_are_packs_then_index_then_snapshot),
		cmocka_unit_test(nth_put_failing_leaves_earlier_snapshots),
		cmocka_unit_test(reply_of_nth_put_lost_leaves_earlier_snapshots),
		cmocka_unit_test(dying_before_nth_call_leaves_earlier_snapshots),
		cmocka_unit_test(dying_after_nth_put_leaves_earlier_snapshots),
		cmocka_unit_test(nth_get_failing_is_an_error_never_wrong_bytes),
		cmocka_unit_test(any_flipped_byte_is_found),
		cmocka_unit_test(any_missing_object_is_found),
		cmocka_unit_test(a_removed_snapshot_is_reported),
		cmocka_unit_test(canceled_backup_leaves_earlier_snapshots),
	};

	return cmocka_run_group_tests_name("repo: commit", tests, NULL, NULL);
}
