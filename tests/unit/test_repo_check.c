/* The check's memory of what it read, and what it makes of deltas that nothing needs. */

#include "tests/unit/repo_fixture.h"

#include "backends/wrap.h"
#include "repo/catalog.h"
#include "repo/forget.h"
#include "repo/object.h"
#include "repo/pack_reader.h"
#include "repo/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum {
	N_BACKUPS = 3
};

struct case_of {
	struct fixture f;
	char folder[64];
	char path[256]; /* of what is remembered */
	struct cf_repo *repo;
	struct cf_id snapshots[N_BACKUPS];
	struct cf_buf findings;
};

static void reopen(struct case_of *c)
{
	struct cf_err err = CF_ERR_INIT;

	cf_repo_close(c->repo);
	c->repo = fixture_open_over(&c->f, fixture_share(c->f.store), c->folder, &err);
	if (!c->repo)
		fail_msg("%s", err.text);
}

static int set_up(void **state)
{
	struct case_of *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	fixture_init(&c->f, 0);
	strcpy(c->folder, "/tmp/coffer-test-XXXXXX");
	assert_non_null(mkdtemp(c->folder));
	reopen(c);
	for (unsigned i = 0; i < N_BACKUPS; i++) {
		struct cf_snapshot *snapshot;

		assert_int_equal(fixture_backup(c->repo, i + 1, &snapshot, NULL), 0);
		c->snapshots[i] = snapshot->id;
		cf_snapshot_free(snapshot);
	}
	snprintf(c->path, sizeof(c->path), "%s/%s.verified", c->folder, cf_repo_id_text(c->repo));
	*state = c;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const suffixes[] = {"verified", "verified-wal", "verified-shm", "index", "index-wal", "index-shm"};
	struct case_of *c = *state;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		char path[300];

		snprintf(path, sizeof(path), "%s/%s.%s", c->folder, cf_repo_id_text(c->repo), suffixes[i]);
		unlink(path);
	}
	cf_repo_close(c->repo);
	rmdir(c->folder);
	cf_buf_release(&c->findings);
	fixture_release(&c->f);
	free(c);
	return 0;
}

static void note_finding(void *user, const char *object, const char *problem)
{
	cf_buf_printf(user, NULL, "%s: %s\n", object, problem);
}

/* Findings stay in c->findings. */
static struct cf_check_figures check(struct case_of *c, struct cf_check_options options)
{
	struct cf_check_figures figures;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	cf_buf_clear(&c->findings);
	rc = cf_check_run(c->repo, &options, note_finding, &c->findings, &figures, &err);
	assert_int_equal(rc, figures.errors ? CF_ERR_DAMAGED : 0);
	assert_int_equal(cf_buf_append(&c->findings, "", 1, NULL), 0);
	c->findings.len--;
	return figures;
}

static bool is_found(const struct case_of *c, const char *text)
{
	return strstr((const char *)c->findings.data, text) != NULL;
}

static int note_name(void *user, const char *name, uint64_t size)
{
	snprintf(user, 80, "%s", name);
	return 0;
}

/* Some pack. */
static void find_pack(struct case_of *c, char name[80])
{
	assert_int_equal(c->f.store->ops->list(c->f.store, "packs", note_name, name, NULL), 0);
}

static void a_check_without_time_goes_on_where_the_last_one_stopped(void **state)
{
	const struct cf_check_options little = {.max_duration_ns = 1};
	struct case_of *c = *state;
	struct cf_check_figures figures = {0};
	uint64_t read = 0;

	do {
		figures = check(c, little);
		assert_int_equal(figures.packs_read, 1);
		assert_int_equal(figures.errors, 0);
		assert_true(figures.coverage.bytes_good > read);
		read = figures.coverage.bytes_good;
		reopen(c);
	} while (read < figures.coverage.bytes);
	assert_int_equal(figures.coverage.bytes_within[0], figures.coverage.bytes);
	assert_true(figures.coverage.oldest_ns > 0);
}

static void a_day_without_limit_is_enough_for_all(void **state)
{
	const struct cf_check_options day = {.max_duration_ns = (int64_t)86400 * 1000000000};
	struct case_of *c = *state;
	struct cf_check_figures figures = check(c, day);

	assert_int_equal(figures.packs_read, figures.packs);
	assert_int_equal(figures.coverage.bytes_good, figures.coverage.bytes);
}

static void shares_get_around(void **state)
{
	const struct cf_check_options half = {.read_percent = 50};
	struct case_of *c = *state;
	struct cf_check_figures figures = check(c, half);

	assert_in_range(figures.packs_read, 1, figures.packs - 1);
	figures = check(c, half);
	assert_int_equal(figures.coverage.bytes_good, figures.coverage.bytes);
}

static void sizes_get_around_however_small(void **state)
{
	const struct cf_check_options little = {.read_bytes = 1};
	struct case_of *c = *state;
	struct cf_check_figures figures = check(c, (struct cf_check_options){0});
	uint64_t n = figures.packs;

	assert_int_equal(figures.packs_read, 0);
	assert_int_equal(figures.coverage.oldest_ns, 0);
	for (uint64_t i = 0; i < n; i++) {
		figures = check(c, little);
		assert_int_equal(figures.packs_read, 1);
	}
	assert_int_equal(figures.coverage.bytes_good, figures.coverage.bytes);
	figures = check(c, (struct cf_check_options){.read_bytes = figures.coverage.bytes});
	assert_int_equal(figures.packs_read, n);
}

static void what_was_damaged_is_named_and_read_first(void **state)
{
	const struct cf_check_options all = {.read_percent = 100}, little = {.max_duration_ns = 1};
	struct case_of *c = *state;
	struct cf_check_figures figures;
	char name[80];

	find_pack(c, name);
	check(c, all);
	assert_int_equal(cf_memory_flip(c->f.store, name, 150, 1, NULL), 0);
	figures = check(c, all);
	assert_true(is_found(c, name));
	assert_int_equal(figures.coverage.bad_packs, 1);
	assert_true(figures.coverage.bytes_good < figures.coverage.bytes);
	reopen(c);
	/* Known without reading; and read first when there is time for one only. */
	figures = check(c, (struct cf_check_options){0});
	assert_true(figures.errors >= 1); /* folders may be in it, too */
	assert_true(is_found(c, name));
	assert_true(is_found(c, "was damaged when it was read on 2023-11-14"));
	assert_int_equal(cf_memory_flip(c->f.store, name, 150, 1, NULL), 0);
	figures = check(c, little);
	assert_int_equal(figures.errors, 0);
	assert_int_equal(figures.coverage.bad_packs, 0);
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
}

static void write_garbage(const char *path, const char *mode, long at)
{
	FILE *file = fopen(path, mode);

	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	for (int i = 0; i < 4000; i++)
		fputc(i * 7 % 256, file);
	assert_int_equal(fclose(file), 0);
}

static void damage_to_what_is_remembered_costs_no_more_than_reading_again(void **state)
{
	const struct cf_check_options all = {.read_percent = 100};
	struct case_of *c = *state;
	struct cf_check_figures figures;

	for (long at = 0; at < 8192; at += 512) {
		check(c, all);
		write_garbage(c->path, "r+b", at);
		figures = check(c, (struct cf_check_options){0});
		assert_int_equal(figures.errors, 0);
		assert_true(figures.coverage.bytes_good <= figures.coverage.bytes);
		figures = check(c, all);
		/* What failed in the middle begins anew the next time. */
		figures = check(c, all);
		assert_int_equal(figures.coverage.bytes_good, figures.coverage.bytes);
	}
	assert_int_equal(unlink(c->path), 0);
	assert_int_equal(check(c, (struct cf_check_options){0}).coverage.bytes_good, 0);
}

struct search {
	struct cf_id delta_pack;
	struct cf_id base;
};

static int find_delta(void *user, const struct cf_id *id, const struct cf_location *place)
{
	struct search *search = user;

	(void)id;
	if (place->bases.n == 0)
		return 0;
	search->delta_pack = place->pack;
	search->base = place->bases.ids[0];
	return 1;
}

static void a_delta_that_nothing_needs_may_have_lost_its_base(void **state)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	const struct cf_check_options all = {.read_percent = 100};
	struct cf_forget_figures forgotten;
	struct cf_check_figures figures;
	struct search search = {0};
	struct case_of *c = *state;
	struct cf_location base;

	assert_int_equal(cf_catalog_each(c->repo->catalog, find_delta, &search, NULL), 1);
	assert_int_equal(cf_catalog_find(c->repo->catalog, &search.base, &base, NULL), 1);
	assert_int_equal(c->f.store->ops->remove(c->f.store, cf_pack_name(&base.pack).s, NULL), 0);
	reopen(c); /* without what was decoded before */
	/* Needed, it is damage. */
	figures = check(c, all);
	assert_true(is_found(c, cf_pack_name(&search.delta_pack).s));
	assert_int_equal(figures.coverage.bad_packs, 0);
	assert_int_equal(cf_forget_run(c->repo, c->snapshots, N_BACKUPS, &who, &forgotten, NULL), 0);
	figures = check(c, all);
	assert_true(figures.orphaned_deltas > 0);
	assert_false(is_found(c, cf_pack_name(&search.delta_pack).s));
}

/* Nothing in the store knows of the newest snapshot; who has seen it does. */
static void the_newest_snapshot_does_not_vanish_unseen(void **state)
{
	struct case_of *c = *state;
	struct cf_object_name last = cf_object_name(CF_OBJECT_SNAPSHOT, &c->snapshots[N_BACKUPS - 1]);

	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
	assert_int_equal(c->f.store->ops->remove(c->f.store, last.s, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(check(c, (struct cf_check_options){0}).errors, 1);
		assert_true(is_found(c, last.s));
	}
}

static void a_store_set_back_to_an_older_state_is_found(void **state)
{
	const struct cf_forget_options who = {.host = "h", .user = "u"};
	struct case_of *c = *state;
	struct cf_forget_figures forgotten;
	struct cf_backend *older;
	struct cf_snapshot *snapshot;

	assert_int_equal(cf_memory_copy(c->f.store, &older, NULL), 0);
	assert_int_equal(cf_forget_run(c->repo, c->snapshots, 1, &who, &forgotten, NULL), 0);
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
	assert_int_equal(fixture_backup(c->repo, 4, &snapshot, NULL), 0);
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
	cf_backend_close(c->f.store);
	c->f.store = older;
	reopen(c);
	/* The snapshot that came back is no damage by itself: that its two records are gone is. */
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 3);
	assert_true(is_found(c, cf_object_name(CF_OBJECT_SNAPSHOT, &snapshot->id).s));
	assert_true(is_found(c, "gc/forget/"));
	cf_snapshot_free(snapshot);
}

static cf_backend_list_fn *list_user_fn;
static char unlisted[80];
static bool is_late;

static int note_listed(void *user, const char *name, uint64_t size)
{
	return strcmp(name, unlisted) == 0 ? 0 : list_user_fn(user, name, size);
}

/* As if that one had been stored just after, or the store were late for ever. */
static int list_without(struct cf_backend *backend, const char *prefix, cf_backend_list_fn *fn, void *user, struct cf_err *err)
{
	struct cf_backend *inner = cf_wrap_inner(backend);
	int rc;

	list_user_fn = fn;
	rc = inner->ops->list(inner, prefix, note_listed, user, err);
	if (strcmp(prefix, "snapshots") == 0 && !is_late)
		unlisted[0] = '\0';
	return rc;
}

static void a_snapshot_stored_since_is_not_missing(void **state)
{
	struct case_of *c = *state;
	struct cf_backend *late = fixture_share(c->f.store);
	struct cf_backend_ops ops;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
	strcpy(unlisted, cf_object_name(CF_OBJECT_SNAPSHOT, &c->snapshots[N_BACKUPS - 1]).s);
	ops = *late->ops;
	ops.list = list_without;
	late->ops = &ops;
	cf_repo_close(c->repo);
	c->repo = fixture_open_over(&c->f, late, c->folder, &err);
	assert_non_null(c->repo);
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 0);
	strcpy(unlisted, cf_object_name(CF_OBJECT_SNAPSHOT, &c->snapshots[N_BACKUPS - 1]).s);
	is_late = true;
	assert_int_equal(check(c, (struct cf_check_options){0}).errors, 1);
	reopen(c);
}

/* Over a store of which calls fail by a rule; findings stay in c->findings. */
static int check_with_fault(struct case_of *c, const struct cf_fault_rule *rule, bool *reached_out)
{
	const struct cf_check_options all = {.read_percent = 100};
	struct cf_check_figures figures;
	struct cf_err err = CF_ERR_INIT;
	struct cf_backend *fault;
	struct cf_repo *repo;
	int rc;

	assert_int_equal(cf_fault_new(fixture_share(c->f.store), &fault, NULL), 0);
	repo = fixture_open_over(&c->f, fault, NULL, &err);
	assert_non_null(repo);
	cf_fault_set(fault, rule);
	cf_buf_clear(&c->findings);
	rc = cf_check_run(repo, &all, note_finding, &c->findings, &figures, &err);
	assert_int_equal(rc, err.code);
	assert_int_equal(cf_buf_append(&c->findings, "", 1, NULL), 0);
	c->findings.len--;
	*reached_out = cf_fault_failed(fault) > 0;
	cf_repo_close(repo);
	return rc;
}

static void what_cannot_be_read_is_damage_of_one_object(void **state)
{
	static const char *const kinds[] = {"packs", "index", "snapshots", "keys"};
	struct case_of *c = *state;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char name[80];
		const struct cf_fault_rule rule = {.call = CF_CALL_GET,
						   .prefix = name,
						   .off = 200,
						   .len = 100,
						   .nth = 1,
						   .is_repeated = true,
						   .code = CF_ERR_DAMAGED};
		bool reached;

		assert_int_equal(c->f.store->ops->list(c->f.store, kinds[i], note_name, name, NULL), 0);
		assert_int_equal(check_with_fault(c, &rule, &reached), CF_ERR_DAMAGED);
		assert_true(reached && is_found(c, name) && is_found(c, "a fault was injected"));
	}
}

static void a_store_that_goes_away_is_no_damage(void **state)
{
	struct case_of *c = *state;
	bool reached = true;
	unsigned n = 0;

	for (unsigned nth = 1; reached; nth += 3, n++) {
		const struct cf_fault_rule rule = {.call = CF_CALL_ANY, .nth = nth, .kind = CF_FAULT_STOP};
		int rc = check_with_fault(c, &rule, &reached);

		assert_int_equal(rc, reached ? CF_ERR_FAILED : 0);
		assert_int_equal(c->findings.len, 0);
	}
	assert_true(n > 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_check_without_time_goes_on_where_the_last_one_stopped),
		TEST(a_day_without_limit_is_enough_for_all),
		TEST(shares_get_around),
		TEST(sizes_get_around_however_small),
		TEST(what_was_damaged_is_named_and_read_first),
		TEST(damage_to_what_is_remembered_costs_no_more_than_reading_again),
		TEST(a_delta_that_nothing_needs_may_have_lost_its_base),
		TEST(the_newest_snapshot_does_not_vanish_unseen),
		TEST(a_store_set_back_to_an_older_state_is_found),
		TEST(a_snapshot_stored_since_is_not_missing),
		TEST(what_cannot_be_read_is_damage_of_one_object),
		TEST(a_store_that_goes_away_is_no_damage),
	};

	return cmocka_run_group_tests_name("repo: check", tests, NULL, NULL);
}
