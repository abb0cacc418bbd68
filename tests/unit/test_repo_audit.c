/* The audit log: what its records name, and what the check finds when some are gone or are not what
 * they were. */

#include "tests/unit/repo_fixture.h"

#include "repo/audit.h"
#include "repo/snapshot.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct cf_audit_ref append(struct cf_repo *repo, const char *command)
{
	struct cf_audit_record record = {.host = strdup("h"),
					 .user = strdup("u"),
					 .command = strdup(command),
					 .error = strdup("")};
	struct cf_err err = CF_ERR_INIT;
	struct cf_audit_ref ref;

	if (cf_audit_append(repo, &record, &err) < 0)
		fail_msg("%s", err.text);
	ref = (struct cf_audit_ref){.id = record.id, .number = record.number};
	cf_audit_record_release(&record);
	return ref;
}

static struct cf_snapshot *backup(struct cf_repo *repo, unsigned version)
{
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (fixture_backup(repo, version, &snapshot, &err) < 0)
		fail_msg("%s", err.text);
	return snapshot;
}

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

/* One finding, that names the object and says so much. */
static void assert_finding(struct cf_repo *repo, const struct cf_audit_ref *ref,
			   const char *problem)
{
	const char *found = findings_of(repo), *end = strchr(found, '\n');

	if (!end || end[1] || !strstr(found, cf_audit_name(ref).s) || !strstr(found, problem))
		fail_msg("found: %s", found);
}

static void number_that_is_too_high_is_followed_by_nobody(void **state)
{
	struct cf_audit_ref previous = {.number = CF_AUDIT_NUMBER_MAX - 1}, refs[3];
	struct cf_audit_record record = {.number = CF_AUDIT_NUMBER_MAX,
					 .previous = &previous,
					 .n_previous = 1,
					 .host = (char *)(uintptr_t)"h",
					 .user = (char *)(uintptr_t)"u",
					 .program = (char *)(uintptr_t)"p",
					 .slot = (char *)(uintptr_t)"s",
					 .command = (char *)(uintptr_t)"backup",
					 .error = (char *)(uintptr_t)""};
	struct cf_buf doc = CF_BUF_INIT;
	struct cf_audit_ref forged = {.number = record.number};
	struct cf_repo *repo;
	struct fixture f;

	memset(previous.id.bytes, 7, sizeof(previous.id.bytes));
	fixture_init(&f, 0);
	repo = fixture_open(&f);
	refs[0] = append(repo, "backup");
	assert_int_equal(cf_audit_encode(&record, &doc, NULL), 0);
	assert_int_equal(cf_object_put_in(repo, CF_OBJECT_AUDIT, "audit/ffffffff", cf_buf_span(&doc), &forged.id, NULL, NULL), 0);
	for (unsigned i = 1; i < 3; i++) {
		refs[i] = append(repo, "backup");
		assert_int_equal(refs[i].number, i + 1);
	}
	assert_finding(repo, &forged, "too high");
	assert_int_equal(repo->backend->ops->remove(repo->backend, cf_audit_name(&forged).s, NULL), 0);
	assert_string_equal(findings_of(repo), "");
	cf_buf_release(&doc);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void remove_record(struct cf_repo *repo, const struct cf_audit_ref *ref)
{
	assert_int_equal(repo->backend->ops->remove(repo->backend, cf_audit_name(ref).s, NULL), 0);
}

static void a_record_names_what_nothing_named(void **state)
{
	struct cf_audit_ref refs[70], *heads;
	struct cf_audit_log log;
	struct cf_repo *repo;
	struct fixture f;
	size_t n;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	assert_int_equal(cf_audit_heads(repo, &heads, &n, NULL), 0);
	assert_int_equal(n, 0);
	free(heads);
	for (size_t i = 0; i < 70; i++)
		refs[i] = append(repo, "backup");
	assert_int_equal(cf_audit_load(repo, &log, NULL), 0);
	assert_int_equal(log.n, 70);
	for (size_t i = 0; i < 70; i++) {
		assert_true(cf_id_equal(&log.items[i].id, &refs[i].id));
		assert_int_equal(log.items[i].number, i + 1);
		assert_int_equal(log.items[i].n_previous, i ? 1 : 0);
		if (i)
			assert_true(cf_id_equal(&log.items[i].previous[0].id, &refs[i - 1].id));
	}
	assert_int_equal(cf_audit_heads(repo, &heads, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_true(cf_id_equal(&heads[0].id, &refs[69].id));
	free(heads);
	cf_audit_log_release(&log);
	assert_string_equal(findings_of(repo), "");
	cf_repo_close(repo);
	fixture_release(&f);
}

/* However long the log is: those of two folders. */
static void few_records_are_read_to_append_one(void **state)
{
	struct cf_backend *trace;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_trace_new(fixture_share(f.store), NULL, NULL, &trace, NULL), 0);
	repo = fixture_open_over(&f, trace, NULL, NULL);
	assert_non_null(repo);
	for (size_t i = 0; i < 200; i++) {
		uint64_t before = cf_trace_counts(trace).of[CF_CALL_GET].n_calls;

		append(repo, "tag");
		assert_true(cf_trace_counts(trace).of[CF_CALL_GET].n_calls - before <=
			    2 * CF_AUDIT_FOLDER_LEN);
	}
	cf_repo_close(repo);
	fixture_release(&f);
}

/* Another store with one more record, as a writer leaves it that saw the log at the same time. */
static struct cf_audit_ref append_apart(struct fixture *f, struct cf_backend *before)
{
	struct cf_backend *store = f->store, *apart;
	struct cf_audit_ref ref;
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_repo *repo;

	assert_int_equal(cf_memory_copy(before, &apart, NULL), 0);
	f->store = apart;
	repo = fixture_open(f);
	ref = append(repo, "backup");
	assert_int_equal(cf_backend_get_all(apart, cf_audit_name(&ref).s, 1 << 20, &bytes, NULL),
			 0);
	assert_int_equal(cf_backend_put(store, cf_audit_name(&ref).s, cf_buf_span(&bytes), NULL),
			 0);
	cf_repo_close(repo);
	cf_buf_release(&bytes);
	cf_backend_close(apart);
	f->store = store;
	return ref;
}

static void branches_of_concurrent_writers_are_joined(void **state)
{
	struct cf_audit_ref root, branches[3], joined;
	struct cf_backend *before;
	struct cf_audit_log log;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	root = append(repo, "init");
	assert_int_equal(cf_memory_copy(f.store, &before, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		branches[i] = append_apart(&f, before);
		assert_int_equal(branches[i].number, root.number + 1);
	}
	assert_string_equal(findings_of(repo), "");
	joined = append(repo, "forget");
	assert_int_equal(joined.number, root.number + 2);
	assert_int_equal(cf_audit_load(repo, &log, NULL), 0);
	assert_int_equal(log.n, 5);
	assert_int_equal(log.items[4].n_previous, 3);
	cf_audit_log_release(&log);
	assert_string_equal(findings_of(repo), "");
	remove_record(repo, &branches[1]);
	assert_finding(repo, &branches[1], "is missing: record 3");
	cf_backend_close(before);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* The last record of a full folder beside the first of the next one. */
static void branches_across_folders_are_joined(void **state)
{
	struct cf_audit_ref late, *heads;
	struct cf_backend *before;
	struct cf_repo *repo;
	struct fixture f;
	size_t n;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	for (int i = 0; i < CF_AUDIT_FOLDER_LEN - 2; i++)
		append(repo, "backup");
	assert_int_equal(cf_memory_copy(f.store, &before, NULL), 0);
	append(repo, "backup");
	append(repo, "backup");
	late = append_apart(&f, before);
	assert_int_equal(late.number, CF_AUDIT_FOLDER_LEN - 1);
	assert_int_equal(cf_audit_heads(repo, &heads, &n, NULL), 0);
	assert_int_equal(n, 2);
	free(heads);
	append(repo, "backup");
	assert_int_equal(cf_audit_heads(repo, &heads, &n, NULL), 0);
	assert_int_equal(n, 1);
	free(heads);
	assert_string_equal(findings_of(repo), "");
	cf_backend_close(before);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void removed_and_damaged_records_are_found(void **state)
{
	struct cf_audit_ref refs[5];
	struct cf_backend *whole;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	for (size_t i = 0; i < 5; i++)
		refs[i] = append(repo, "backup");
	assert_int_equal(cf_memory_copy(f.store, &whole, NULL), 0);
	for (size_t i = 0; i < 4; i++) {
		struct cf_buf bytes = CF_BUF_INIT;

		remove_record(repo, &refs[i]);
		assert_finding(repo, &refs[i], "is missing: record ");
		assert_int_equal(
			cf_backend_get_all(whole, cf_audit_name(&refs[i]).s, 1 << 20, &bytes, NULL),
			0);
		assert_int_equal(cf_backend_put(f.store, cf_audit_name(&refs[i]).s,
						cf_buf_span(&bytes), NULL),
				 0);
		assert_string_equal(findings_of(repo), "");
		assert_int_equal(
			cf_memory_flip(f.store, cf_audit_name(&refs[i]).s, bytes.len / 2, 1, NULL),
			0);
		assert_finding(repo, &refs[i], "is damaged");
		assert_int_equal(
			cf_memory_flip(f.store, cf_audit_name(&refs[i]).s, bytes.len / 2, 1, NULL),
			0);
		cf_buf_release(&bytes);
	}
	/* A damaged one keeps nobody from going on. */
	assert_int_equal(cf_memory_flip(f.store, cf_audit_name(&refs[4]).s, 60, 1, NULL), 0);
	assert_int_equal(append(repo, "backup").number, 5);
	cf_backend_close(whole);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* Without a later record a snapshot tells. */
static void a_log_that_was_cut_off_is_found(void **state)
{
	struct cf_audit_ref refs[3];
	struct cf_snapshot *first, *second;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	first = backup(repo, 1);
	assert_non_null(first->audit);
	assert_int_equal(first->n_audit, 0);
	for (size_t i = 0; i < 3; i++)
		refs[i] = append(repo, "backup");
	second = backup(repo, 2);
	assert_int_equal(second->n_audit, 1);
	assert_true(cf_id_equal(&second->audit[0].id, &refs[2].id));
	assert_string_equal(findings_of(repo), "");
	remove_record(repo, &refs[2]);
	assert_finding(repo, &refs[2], "saw it");
	remove_record(repo, &refs[1]);
	remove_record(repo, &refs[0]);
	assert_finding(repo, &refs[2], "saw it");
	cf_snapshot_free(first);
	cf_snapshot_free(second);
	cf_repo_close(repo);
	fixture_release(&f);
}

static void a_record_in_another_folder_is_found(void **state)
{
	struct cf_audit_ref ref, moved;
	struct cf_buf bytes = CF_BUF_INIT;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	repo = fixture_open(&f);
	ref = append(repo, "init");
	assert_int_equal(cf_backend_get_all(f.store, cf_audit_name(&ref).s, 1 << 20, &bytes, NULL),
			 0);
	moved = (struct cf_audit_ref){.id = ref.id, .number = 1000};
	assert_int_equal(
		cf_backend_put(f.store, cf_audit_name(&moved).s, cf_buf_span(&bytes), NULL), 0);
	remove_record(repo, &ref);
	assert_finding(repo, &ref, "lies in the folder");
	cf_buf_release(&bytes);
	cf_repo_close(repo);
	fixture_release(&f);
}

/* The log is no reason to lose a backup. */
static void a_log_that_cannot_be_read_fails_no_backup(void **state)
{
	const struct cf_fault_rule rule = {
		.call = CF_CALL_LIST, .prefix = "audit", .nth = 1, .code = CF_ERR_ACCESS};
	struct cf_snapshot *snapshot;
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct fixture f;

	fixture_init(&f, 0);
	assert_int_equal(cf_fault_new(fixture_share(f.store), &fault, NULL), 0);
	repo = fixture_open_over(&f, fault, NULL, NULL);
	assert_non_null(repo);
	cf_fault_set(fault, &rule);
	snapshot = backup(repo, 1);
	assert_int_equal(cf_fault_failed(fault), 1);
	assert_null(snapshot->audit);
	assert_int_equal(atomic_load(&f.n_warnings), 1);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	fixture_release(&f);
}

struct writer {
	struct fixture *f;
	pthread_t thread;
};

static void *append_some(void *arg)
{
	struct writer *writer = arg;
	struct cf_repo *repo = fixture_open(writer->f);

	for (size_t i = 0; i < 20; i++)
		append(repo, "backup");
	cf_repo_close(repo);
	return NULL;
}

static void writers_at_once_lose_no_record(void **state)
{
	struct writer writers[4];
	struct cf_audit_ref *heads;
	struct cf_audit_log log;
	struct cf_repo *repo;
	struct fixture f;
	size_t n;

	fixture_init(&f, 0);
	for (size_t i = 0; i < 4; i++) {
		writers[i].f = &f;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, append_some, &writers[i]),
				 0);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_join(writers[i].thread, NULL);
	repo = fixture_open(&f);
	append(repo, "forget");
	assert_int_equal(cf_audit_load(repo, &log, NULL), 0);
	assert_int_equal(log.n, 81);
	cf_audit_log_release(&log);
	assert_int_equal(cf_audit_heads(repo, &heads, &n, NULL), 0);
	assert_int_equal(n, 1);
	free(heads);
	assert_string_equal(findings_of(repo), "");
	cf_repo_close(repo);
	fixture_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_names_what_nothing_named),
		cmocka_unit_test(number_that_is_too_high_is_followed_by_nobody),
		cmocka_unit_test(few_records_are_read_to_append_one),
		cmocka_unit_test(branches_of_concurrent_writers_are_joined),
		cmocka_unit_test(branches_across_folders_are_joined),
		cmocka_unit_test(removed_and_damaged_records_are_found),
		cmocka_unit_test(a_log_that_was_cut_off_is_found),
		cmocka_unit_test(a_record_in_another_folder_is_found),
		cmocka_unit_test(a_log_that_cannot_be_read_fails_no_backup),
		cmocka_unit_test(writers_at_once_lose_no_record),
	};

	return cmocka_run_group_tests_name("repo: audit log", tests, NULL, NULL);
}
