/* A host that may only write, with the keys of its own packs: what it can compare with, and all that
 * can be wrong with the folder they are in. */

#include "repo/catalog.h"
#include "repo/key_admin.h"
#include "repo/pack_keys.h"
#include "repo/pack_reader.h"
#include "repo/prune.h"
#include "tests/suite/temp_folder.h"
#include "tests/unit/repo_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DAY_NS ((int64_t)86400 * 1000000000)

struct host {
	struct fixture f;
	struct cf_secret *secret;
	struct cf_credentials credentials;
	struct cf_temp_folder cache;
	int64_t keep_ns;
};

static void ok(int rc, const struct cf_err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static int set_up(void **state)
{
	const struct cf_slot_about about = {.host = "h", .user = "u", .comment = ""};
	struct host *host = calloc(1, sizeof(*host));
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo;
	char id[33];

	assert_non_null(host);
	fixture_init(&host->f, 0);
	cf_temp_folder_make(&host->cache);
	host->keep_ns = 35 * DAY_NS;
	ok(cf_secret_copy(cf_span_str("writer writer writer writer write"), &host->secret, &err), &err);
	host->credentials.key_file = host->secret;
	repo = fixture_open(&host->f);
	ok(cf_key_add(repo, CF_ROLE_WRITE, &host->credentials, &about, id, &err), &err);
	cf_repo_close(repo);
	*state = host;
	return 0;
}

static int tear_down(void **state)
{
	struct host *host = *state;

	cf_temp_folder_remove(&host->cache);
	cf_secret_free(host->secret);
	fixture_release(&host->f);
	free(host);
	return 0;
}

/* A handle of the host over a backend that it takes. */
static struct cf_repo *open_over(struct host *host, struct cf_backend *backend)
{
	const struct cf_repo_open_options options = {.n_threads = 2, .cache_dir = host->cache.path};
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = NULL;

	ok(cf_repo_open(backend, &host->credentials, &options, &host->f.ctx, &repo, &err), &err);
	ok(cf_repo_keep_pack_keys(repo, host->keep_ns, &err), &err);
	return repo;
}

static struct cf_repo *open_host(struct host *host)
{
	return open_over(host, fixture_share(host->f.store));
}

/* A backup of the host, whole for who can read it. */
static struct cf_figures backup(struct host *host, unsigned version)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *repo = open_host(host), *full = fixture_open(&host->f);
	struct cf_snapshot *snapshot = NULL;
	struct cf_figures figures;

	ok(fixture_backup(repo, version, &snapshot, &err), &err);
	figures = snapshot->figures;
	cf_repo_close(repo);
	if (fixture_restore_equals(full, snapshot, version, &err) != 1)
		fail_msg("%s", err.text[0] ? err.text : "it is restored as something else");
	cf_repo_close(full);
	cf_snapshot_free(snapshot);
	return figures;
}

static void full_backup(struct host *host, unsigned version)
{
	struct cf_repo *full = fixture_open(&host->f);
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;

	ok(fixture_backup(full, version, &snapshot, &err), &err);
	cf_snapshot_free(snapshot);
	cf_repo_close(full);
}

static void assert_clean(struct host *host)
{
	struct cf_repo *full = fixture_open(&host->f);
	struct cf_buf findings = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	ok(fixture_check(full, &findings, &err), &err);
	assert_int_equal(findings.len, 0);
	cf_buf_release(&findings);
	cf_repo_close(full);
}

/* A shell command in the folder of keys. */
static bool run(struct host *host, const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd *.pack-keys && %s", command);
	return cf_temp_folder_run(&host->cache, line);
}

struct census {
	struct cf_repo *repo;
	unsigned n_open, n_shut;
};

static int open_pack(void *user, const char *object, uint64_t size)
{
	struct census *census = user;
	struct cf_segment_pack pack = {0};
	struct cf_err err = CF_ERR_INIT;
	struct cf_id name;
	int rc;

	assert_true(cf_id_parse(strrchr(object, '/') + 1, &name));
	rc = cf_pack_read_table(census->repo, &name, size, &pack, &err);
	cf_pack_table_release(&pack.table);
	assert_true(rc == 0 || rc == CF_ERR_KEY);
	assert_int_equal(rc == 0, cf_pack_may_open(census->repo, &name));
	*(rc == 0 ? &census->n_open : &census->n_shut) += 1;
	return 0;
}

static struct census count_packs(struct host *host)
{
	struct census census = {.repo = open_host(host)};

	assert_int_equal(host->f.store->ops->list(host->f.store, "packs", open_pack, &census, NULL), 0);
	cf_repo_close(census.repo);
	return census;
}

static void own_packs_serve_as_bases(void **state)
{
	struct host *host = *state;

	assert_int_equal(backup(host, 1).chunks_delta, 0);
	assert_true(backup(host, 2).chunks_delta > 0);
	assert_true(backup(host, 3).chunks_delta > 0);
	assert_clean(host);
}

static void packs_of_others_stay_shut(void **state)
{
	struct host *host = *state;
	struct census census;

	full_backup(host, 1);
	census = count_packs(host);
	assert_true(census.n_open == 0 && census.n_shut == 2);
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	census = count_packs(host);
	assert_true(census.n_open == 2 && census.n_shut == 2);
}

/* Without the trees of others the host would read everything every day. */
static void a_tree_that_another_stored_is_stored_again(void **state)
{
	struct host *host = *state;
	struct cf_figures again;

	full_backup(host, 1);
	assert_int_equal(backup(host, 1).chunks_new, 0);
	again = backup(host, 1);
	assert_int_equal(again.chunks_new, 0);
	assert_true(again.bytes_stored < 3000);
	assert_clean(host);
}

static void without_the_folder_nothing_is_compared(void **state)
{
	struct host *host = *state;

	backup(host, 1);
	assert_true(run(host, "rm *"));
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	assert_true(backup(host, 3).chunks_delta > 0);
	assert_true(cf_temp_folder_run(&host->cache, "rm -r *"));
	assert_int_equal(backup(host, 4).chunks_delta, 0);
	assert_clean(host);
}

static void when_none_are_wanted_they_are_removed(void **state)
{
	struct host *host = *state;

	backup(host, 1);
	assert_true(run(host, "test $(ls | wc -l) = 2 && test $(stat -c %a .) = 700 && test $(stat -c %a * | sort -u) = 600"));
	host->keep_ns = 0;
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	assert_false(run(host, "true"));
	assert_int_equal(count_packs(host).n_open, 0);
}

static void a_key_of_role_full_keeps_none(void **state)
{
	struct host *host = *state;
	struct cf_secret *writer = host->secret;

	host->credentials.key_file = host->f.key_file;
	backup(host, 1);
	assert_true(backup(host, 2).chunks_delta > 0);
	host->credentials.key_file = writer;
	assert_false(run(host, "true"));
}

static void a_damaged_file_is_removed(void **state)
{
	static const char *const damages[] = {
		": > $a",
		"truncate -s 71 $a",
		"echo >> $a",
		"printf xxxx | dd of=$a bs=1 seek=3 conv=notrunc status=none",
		"printf xxxx | dd of=$a bs=1 seek=68 conv=notrunc status=none",
		"cp $b $a",
		"rm $a; ln -s /etc/hostname $a",
	};
	/* These could be anything, and stay: a huge file, a folder, nothing. */
	static const char *const others[] = {"head -c 1000000 /dev/zero > $a", "rm $a; mkdir $a", "rm $a"};
	const uint8_t key[CF_KEY_LEN] = {1, 2, 3};
	struct host *host = *state;
	struct cf_id a = {.bytes = {0xaa}}, b = {.bytes = {0xbb}};
	struct cf_repo *repo = open_host(host);
	uint8_t out[CF_KEY_LEN];
	char command[512];

	cf_pack_keys_add(repo->pack_keys, &b, key);
	for (unsigned i = 0; i < 10; i++) {
		a.bytes[1] = (uint8_t)i;
		cf_pack_keys_add(repo->pack_keys, &a, key);
		assert_int_equal(cf_pack_keys_get(repo->pack_keys, &a, out, NULL), 1);
		assert_memory_equal(out, key, sizeof(key));
		snprintf(command, sizeof(command), "a=%s; b=%s; %s", cf_id_text(&a).s, cf_id_text(&b).s,
			 i < 7 ? damages[i] : others[i - 7]);
		assert_true(run(host, command));
		assert_int_equal(cf_pack_keys_get(repo->pack_keys, &a, out, NULL), 0);
		assert_false(cf_pack_keys_has(repo->pack_keys, &a));
		snprintf(command, sizeof(command), "test -e %s", cf_id_text(&a).s);
		assert_int_equal(run(host, command), i == 7 || i == 8);
	}
	assert_int_equal(cf_pack_keys_get(repo->pack_keys, &b, out, NULL), 1);
	cf_repo_close(repo);
}

static void damaged_files_do_no_harm(void **state)
{
	struct host *host = *state;

	backup(host, 1);
	assert_true(run(host, "for f in *; do printf xxxx | dd of=$f bs=1 seek=40 conv=notrunc status=none; done"));
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	assert_true(run(host, "for f in *; do rm $f; mkdir $f; done"));
	assert_int_equal(backup(host, 3).chunks_delta, 0);
	assert_clean(host);
}

static void a_folder_that_cannot_be_made_does_no_harm(void **state)
{
	struct host *host = *state;

	backup(host, 1);
	assert_true(cf_temp_folder_run(&host->cache, "for d in *.pack-keys; do rm -r $d; echo > $d; done"));
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	assert_int_equal(backup(host, 3).chunks_delta, 0);
	assert_clean(host);
}

/* Memory is short or the disk full, from the second pack on: then the trees are not stored again and again. */
static void what_cannot_be_kept_is_not_missed(void **state)
{
	struct host *host = *state;
	struct cf_repo *repo = open_host(host);
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;
	const uint8_t key[CF_KEY_LEN] = {1};
	const struct cf_id pack = {.bytes = {7}};
	uint8_t out[CF_KEY_LEN];

	assert_true(run(host, "cd .. && rm -r *.pack-keys"));
	cf_pack_keys_add(repo->pack_keys, &pack, key);
	assert_false(cf_pack_keys_adds(repo->pack_keys));
	assert_false(cf_pack_keys_has(repo->pack_keys, &pack));
	assert_int_equal(cf_pack_keys_get(repo->pack_keys, &pack, out, &err), 0);
	ok(fixture_backup(repo, 1, &snapshot, &err), &err);
	cf_snapshot_free(snapshot);
	ok(fixture_backup(repo, 1, &snapshot, &err), &err);
	assert_true(snapshot->figures.bytes_stored < 3000);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	assert_clean(host);
}

static void what_an_interrupted_run_left_is_taken_up(void **state)
{
	const struct cf_fault_rule rule = {
		.call = CF_CALL_PUT, .prefix = "index/", .nth = 1, .kind = CF_FAULT_STOP};
	struct host *host = *state;
	struct cf_snapshot *snapshot = NULL;
	struct cf_backend *fault;
	struct cf_repo *repo;
	struct cf_figures figures;

	assert_int_equal(cf_fault_new(fixture_share(host->f.store), &fault, NULL), 0);
	repo = open_over(host, fault);
	cf_fault_set(fault, &rule);
	assert_true(fixture_backup(repo, 1, &snapshot, NULL) < 0);
	cf_repo_close(repo);
	figures = backup(host, 1);
	assert_true(figures.chunks_new == 0 && figures.chunks_known > 0);
	assert_clean(host);
}

/* Each began before the other ended; neither's keys are lost. */
static void two_runs_share_the_folder(void **state)
{
	struct host *host = *state;
	struct cf_repo *a, *b;
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;
	struct census census;

	backup(host, 1);
	a = open_host(host);
	b = open_host(host);
	ok(fixture_backup(a, 2, &snapshot, &err), &err);
	assert_true(snapshot->figures.chunks_delta > 0);
	cf_snapshot_free(snapshot);
	ok(fixture_backup(b, 3, &snapshot, &err), &err);
	assert_true(snapshot->figures.chunks_delta > 0);
	cf_snapshot_free(snapshot);
	cf_repo_close(a);
	cf_repo_close(b);
	census = count_packs(host);
	assert_true(census.n_open == 6 && census.n_shut == 0);
	assert_true(backup(host, 4).chunks_delta > 0);
	assert_clean(host);
}

static void a_store_that_lets_nothing_be_read_does_no_harm(void **state)
{
	const struct cf_fault_rule rule = {.call = CF_CALL_GET,
					   .prefix = "packs/",
					   .nth = 1,
					   .is_repeated = true,
					   .code = CF_ERR_ACCESS};
	struct host *host = *state;
	struct cf_snapshot *snapshot = NULL;
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;

	backup(host, 1);
	assert_int_equal(cf_fault_new(fixture_share(host->f.store), &fault, NULL), 0);
	repo = open_over(host, fault);
	cf_fault_set(fault, &rule);
	ok(fixture_backup(repo, 2, &snapshot, &err), &err);
	assert_int_equal(snapshot->figures.chunks_delta, 0);
	cf_snapshot_free(snapshot);
	cf_repo_close(repo);
	assert_clean(host);
}

static int remove_object(void *user, const char *object, uint64_t size)
{
	struct cf_backend *store = user;

	(void)size;
	return store->ops->remove(store, object, NULL);
}

/* A base must be in the store, and not only be one that could be read. */
static void a_pack_that_is_gone_is_no_base(void **state)
{
	struct host *host = *state;
	struct cf_figures figures;

	backup(host, 1);
	host->f.store->ops->list(host->f.store, "packs", remove_object, host->f.store, NULL);
	figures = backup(host, 2);
	assert_true(figures.chunks_delta == 0 && figures.chunks_known == 0);
}

/* What was moved into packs of somebody else is compared with again once it was stored again. */
static void moved_packs_are_done_without(void **state)
{
	struct host *host = *state;
	struct cf_prune_options options = {.host = "h", .user = "u"};
	struct cf_prune_figures figures;
	struct cf_key_rotation rotation;
	struct cf_err err = CF_ERR_INIT;
	struct cf_repo *full;

	backup(host, 1);
	full = fixture_open(&host->f);
	ok(cf_key_rotate(full, &host->f.credentials, &(struct cf_slot_about){.host = "h", .user = "u", .comment = ""},
			 &rotation, &err),
	   &err);
	cf_repo_close(full);
	full = fixture_open(&host->f);
	options.reencrypt = true;
	ok(cf_prune_run(full, &options, &figures, &err), &err);
	cf_repo_close(full);
	assert_int_equal(backup(host, 2).chunks_delta, 0);
	assert_true(backup(host, 3).chunks_delta > 0);
	assert_clean(host);
}

/* By the fixture's clock; files are dated by the real one until a backup dates them. */
static void keys_of_packs_that_nothing_uses_go(void **state)
{
	struct host *host = *state;
	int64_t begun = atomic_load(&host->f.now);

	backup(host, 1);
	assert_true(run(host, "echo > leftover.tmp-1; touch -d '2023-11-13' leftover.tmp-1; echo > other.tmp-2"));
	assert_true(run(host, "f=$(printf '%064d' 0); echo > $f; touch -d 2099-01-01 $f"));
	atomic_store(&host->f.now, begun + 2 * DAY_NS);
	backup(host, 2);
	assert_true(run(host, "test ! -e leftover.tmp-1 && test -e other.tmp-2"));
	/* Of the first backup the trees are not needed any more, its data are. */
	atomic_store(&host->f.now, begun + 34 * DAY_NS);
	backup(host, 3);
	assert_true(run(host, "test $(ls | grep -c '^[0-9a-f]*$') = 7"));
	atomic_store(&host->f.now, begun + 70 * DAY_NS);
	assert_true(backup(host, 4).chunks_delta > 0);
	/* Data and a folder that never changes of the first day, trees of the parent, and what was stored last. */
	assert_true(run(host, "test $(ls | grep -c '^[0-9a-f]*$') = 5"));
	assert_true(backup(host, 5).chunks_delta > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(own_packs_serve_as_bases),
		TEST(packs_of_others_stay_shut),
		TEST(a_tree_that_another_stored_is_stored_again),
		TEST(without_the_folder_nothing_is_compared),
		TEST(when_none_are_wanted_they_are_removed),
		TEST(a_key_of_role_full_keeps_none),
		TEST(a_damaged_file_is_removed),
		TEST(damaged_files_do_no_harm),
		TEST(a_folder_that_cannot_be_made_does_no_harm),
		TEST(what_cannot_be_kept_is_not_missed),
		TEST(what_an_interrupted_run_left_is_taken_up),
		TEST(two_runs_share_the_folder),
		TEST(a_store_that_lets_nothing_be_read_does_no_harm),
		TEST(a_pack_that_is_gone_is_no_base),
		TEST(moved_packs_are_done_without),
		TEST(keys_of_packs_that_nothing_uses_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
