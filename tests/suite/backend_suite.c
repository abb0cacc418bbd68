#include "tests/suite/backend_suite.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define BIG_LEN ((size_t)20 << 20)
#define MAX_LISTED 64

static struct cf_backend *backend_of(void **state)
{
	return ((struct cf_backend_suite *)*state)->backend;
}

static void assert_code(int rc, int code, const struct cf_err *err)
{
	if (rc != code)
		print_error("got %d (%s), expected %d (%s); message: %s\n", rc, cf_err_meaning(rc), code,
			    cf_err_meaning(code), err->text);
	assert_int_equal(rc, code);
	if (code < 0) {
		assert_int_equal(err->code, code);
		assert_true(err->text[0] != '\0' && !strchr(err->text, '\n'));
	}
}

static void put_text(struct cf_backend *backend, const char *name, const char *text)
{
	struct cf_err err = CF_ERR_INIT;

	assert_code(cf_backend_put(backend, name, cf_span_str(text), &err), 0, &err);
}

static void expect_range(struct cf_backend *backend, const char *name, uint64_t off, const void *data,
			 size_t len)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(cf_buf_append_str(&out, "before", NULL), 0);
	assert_code(backend->ops->get(backend, name, off, len, &out, &err), 0, &err);
	assert_int_equal(out.len, 6 + len);
	assert_memory_equal(out.data, "before", 6);
	if (len > 0)
		assert_memory_equal(out.data + 6, data, len);
	cf_buf_release(&out);
}

static void expect_get_fails(struct cf_backend *backend, const char *name, uint64_t off, size_t len,
			     int code)
{
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(cf_buf_append_str(&out, "before", NULL), 0);
	assert_code(backend->ops->get(backend, name, off, len, &out, &err), code, &err);
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.data, "before", 6);
	cf_buf_release(&out);
}

static void expect_size(struct cf_backend *backend, const char *name, uint64_t size)
{
	struct cf_err err = CF_ERR_INIT;
	uint64_t got = 0;

	assert_code(backend->ops->size(backend, name, &got, &err), 0, &err);
	assert_int_equal(got, size);
}

static void expect_absent(struct cf_backend *backend, const char *name)
{
	struct cf_err err = CF_ERR_INIT;
	uint64_t size;

	expect_get_fails(backend, name, 0, 0, CF_ERR_NOT_FOUND);
	assert_code(backend->ops->size(backend, name, &size, &err), CF_ERR_NOT_FOUND, &err);
}

struct listed {
	size_t n;
	char names[MAX_LISTED][CF_BACKEND_NAME_MAX + 1];
	uint64_t sizes[MAX_LISTED];
	int stop_with;
};

static int keep_name(void *user, const char *name, uint64_t size)
{
	struct listed *listed = user;

	assert_true(listed->n < MAX_LISTED);
	assert_true(cf_backend_name_valid(name));
	strcpy(listed->names[listed->n], name);
	listed->sizes[listed->n] = size;
	listed->n++;
	return listed->stop_with;
}

/* want: names with commas between them, each listed exactly once. */
static void expect_list(struct cf_backend *backend, const char *prefix, const char *want)
{
	struct listed listed = {.n = 0};
	struct cf_err err = CF_ERR_INIT;
	char wanted[1024], *at = wanted, *name;
	size_t n_wanted = 0;

	assert_code(backend->ops->list(backend, prefix, keep_name, &listed, &err), 0, &err);
	assert_true(strlen(want) < sizeof(wanted));
	strcpy(wanted, want);
	while ((name = strsep(&at, ","))) {
		size_t n_found = 0;

		if (name[0] == '\0')
			continue;
		for (size_t i = 0; i < listed.n; i++)
			if (strcmp(listed.names[i], name) == 0)
				n_found++;
		if (n_found != 1)
			print_error("listing \"%s\": %s is there %zu times\n", prefix, name, n_found);
		assert_int_equal(n_found, 1);
		n_wanted++;
	}
	assert_int_equal(listed.n, n_wanted);
}

static void what_was_put_is_got(void **state)
{
	struct cf_backend *backend = backend_of(state);

	put_text(backend, "config", "hello");
	expect_range(backend, "config", 0, "hello", 5);
	expect_size(backend, "config", 5);
	put_text(backend, "packs/0f/0f3a", "deep");
	expect_range(backend, "packs/0f/0f3a", 0, "deep", 4);
	put_text(backend, "logs/a-b_c.d/1/2", "deepest");
	expect_range(backend, "logs/a-b_c.d/1/2", 0, "deepest", 7);
}

static void ranges_are_exact_and_never_too_long(void **state)
{
	struct cf_backend *backend = backend_of(state);

	put_text(backend, "packs/a", "0123456789");
	expect_range(backend, "packs/a", 0, "0", 1);
	expect_range(backend, "packs/a", 3, "3456", 4);
	expect_range(backend, "packs/a", 9, "9", 1);
	expect_range(backend, "packs/a", 10, "", 0);
	expect_range(backend, "packs/a", 4, "", 0);
	expect_get_fails(backend, "packs/a", 0, 11, CF_ERR_DAMAGED);
	expect_get_fails(backend, "packs/a", 9, 2, CF_ERR_DAMAGED);
	expect_get_fails(backend, "packs/a", 11, 0, CF_ERR_DAMAGED);
	expect_get_fails(backend, "packs/a", UINT64_MAX, 1, CF_ERR_DAMAGED);
	expect_get_fails(backend, "packs/a", UINT64_MAX - 5, 10, CF_ERR_DAMAGED);
	expect_get_fails(backend, "packs/a", 1, SIZE_MAX, CF_ERR_DAMAGED);
	expect_range(backend, "packs/a", 0, "0123456789", 10);
}

static void parts_are_joined_in_order(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_span parts[200];
	char want[200];
	struct cf_err err = CF_ERR_INIT;
	size_t len = 0;

	for (size_t i = 0; i < 200; i++) {
		want[len] = (char)('a' + i % 26);
		/* Every third part is empty. */
		parts[i] = cf_span_of(i % 3 == 2 ? NULL : &want[len], i % 3 == 2 ? 0 : 1);
		len += parts[i].len;
	}
	assert_code(backend->ops->put(backend, "packs/p", parts, 200, &err), 0, &err);
	expect_size(backend, "packs/p", len);
	expect_range(backend, "packs/p", 0, want, len);
}

static void an_object_may_be_empty(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;
	struct cf_span empty = {.data = NULL, .len = 0};

	assert_code(backend->ops->put(backend, "a/none", NULL, 0, &err), 0, &err);
	assert_code(backend->ops->put(backend, "a/empty", &empty, 1, &err), 0, &err);
	expect_size(backend, "a/none", 0);
	expect_size(backend, "a/empty", 0);
	expect_range(backend, "a/none", 0, "", 0);
	expect_get_fails(backend, "a/empty", 0, 1, CF_ERR_DAMAGED);
	expect_list(backend, "a", "a/none,a/empty");
}

static void a_big_object_comes_back_whole(void **state)
{
	struct cf_backend *backend = backend_of(state);
	uint8_t *data = test_malloc(BIG_LEN);
	struct cf_span parts[3];
	struct cf_err err = CF_ERR_INIT;
	uint64_t x = 1;

	for (size_t i = 0; i < BIG_LEN; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		data[i] = (uint8_t)(x >> 56);
	}
	/* One part ends where no write can: the store has to split and go on. */
	parts[0] = cf_span_of(data, 12345);
	parts[1] = cf_span_of(data + 12345, 17000001);
	parts[2] = cf_span_of(data + 17012346, BIG_LEN - 17012346);
	assert_code(backend->ops->put(backend, "packs/big", parts, 3, &err), 0, &err);
	expect_size(backend, "packs/big", BIG_LEN);
	expect_range(backend, "packs/big", 0, data, BIG_LEN);
	expect_range(backend, "packs/big", 7654321, data + 7654321, 400000);
	test_free(data);
}

static void a_taken_name_keeps_its_object(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;

	put_text(backend, "snapshots/s", "old");
	assert_code(cf_backend_put(backend, "snapshots/s", cf_span_str("newer"), &err), CF_ERR_EXISTS,
		    &err);
	assert_code(cf_backend_put(backend, "snapshots/s", cf_span_str("old"), &err), CF_ERR_EXISTS, &err);
	expect_size(backend, "snapshots/s", 3);
	expect_range(backend, "snapshots/s", 0, "old", 3);
}

static void what_was_never_put_is_not_found(void **state)
{
	struct cf_backend *backend = backend_of(state);

	expect_absent(backend, "config");
	expect_absent(backend, "packs/00/1");
	put_text(backend, "packs/00/2", "x");
	expect_absent(backend, "packs/00/1");
	expect_absent(backend, "packs/00");
	expect_absent(backend, "packs/0");
}

static void names_outside_the_rule_are_refused(void **state)
{
	static const char *const bad[] = {
		"/",	     "/a",	"a/",	 "a//b",  ".",	  "..",	 "../a", "a/../b", "a/.b", ".tmp",
		".tmp/x",    "A",	"a b",	 "a\nb",  "a\\b", "a:b", "a\x7f", "\xc3\xa4", "a/b/c/d/e", "%2e",
		"a/b/c/d/",  "a*",	"a+b",	 "~",
	};
	struct cf_backend *backend = backend_of(state);
	char long_name[CF_BACKEND_NAME_MAX + 2];

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) + 2; i++) {
		size_t n = sizeof(bad) / sizeof(bad[0]);
		const char *name = i < n ? bad[i] : i == n ? long_name : "";
		struct cf_err err = CF_ERR_INIT;
		struct listed listed = {.n = 0};
		uint64_t size;

		assert_false(cf_backend_name_valid(name));
		assert_code(cf_backend_put(backend, name, cf_span_str("x"), &err), CF_ERR_USAGE, &err);
		expect_get_fails(backend, name, 0, 0, CF_ERR_USAGE);
		assert_code(backend->ops->size(backend, name, &size, &err), CF_ERR_USAGE, &err);
		if (backend->ops->remove)
			assert_code(backend->ops->remove(backend, name, &err), CF_ERR_USAGE, &err);
		if (name[0])
			assert_code(backend->ops->list(backend, name, keep_name, &listed, &err),
				    CF_ERR_USAGE, &err);
	}
	expect_list(backend, "", "");
	long_name[CF_BACKEND_NAME_MAX] = '\0';
	put_text(backend, long_name, "as long as can be");
	expect_range(backend, long_name, 0, "as", 2);
	expect_list(backend, "", long_name);
}

static void a_prefix_is_of_whole_components(void **state)
{
	struct cf_backend *backend = backend_of(state);

	expect_list(backend, "", "");
	expect_list(backend, "packs", "");
	put_text(backend, "config", "1");
	put_text(backend, "packs/0f/a", "22");
	put_text(backend, "packs/0f/b", "22");
	put_text(backend, "packs/0f0/c", "22");
	put_text(backend, "packs-2/d", "22");
	put_text(backend, "a.b/c_d/e-f/0", "22");
	expect_list(backend, "", "config,packs/0f/a,packs/0f/b,packs/0f0/c,packs-2/d,a.b/c_d/e-f/0");
	expect_list(backend, "packs", "packs/0f/a,packs/0f/b,packs/0f0/c");
	expect_list(backend, "packs/0f", "packs/0f/a,packs/0f/b");
	expect_list(backend, "packs/0", "");
	expect_list(backend, "pack", "");
	expect_list(backend, "config", "");
	expect_list(backend, "config/x", "");
	expect_list(backend, "packs/0f/a", "");
	expect_list(backend, "a.b/c_d/e-f", "a.b/c_d/e-f/0");
}

static void a_listing_gives_sizes_and_can_be_stopped(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;
	struct listed listed = {.n = 0};

	put_text(backend, "index/a", "12345");
	put_text(backend, "index/b", "12345");
	put_text(backend, "index/c", "12345");
	assert_code(backend->ops->list(backend, "index", keep_name, &listed, &err), 0, &err);
	for (size_t i = 0; i < listed.n; i++)
		assert_int_equal(listed.sizes[i], 5);
	listed = (struct listed){.stop_with = 7};
	assert_int_equal(backend->ops->list(backend, "", keep_name, &listed, &err), 7);
	assert_int_equal(listed.n, 1);
	listed = (struct listed){.stop_with = CF_ERR_CANCELED};
	assert_int_equal(backend->ops->list(backend, "index", keep_name, &listed, &err), CF_ERR_CANCELED);
	assert_int_equal(listed.n, 1);
}

static void the_store_tells_when_it_took_an_object(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;
	int64_t first = 0, second = 0, again = 0;

	put_text(backend, "index/a", "1");
	put_text(backend, "index/b", "2");
	assert_code(backend->ops->time(backend, "index/a", &first, &err), 0, &err);
	assert_code(backend->ops->time(backend, "index/b", &second, &err), 0, &err);
	assert_code(backend->ops->time(backend, "index/a", &again, &err), 0, &err);
	assert_true(first > 0);
	assert_true(second >= first);
	assert_int_equal(again, first);
	assert_code(backend->ops->time(backend, "index/c", &again, &err), CF_ERR_NOT_FOUND, &err);
	assert_code(backend->ops->time(backend, "..", &again, &err), CF_ERR_USAGE, &err);
}

struct remover {
	struct cf_backend *backend;
	size_t n;
};

static int remove_name(void *user, const char *name, uint64_t size)
{
	struct remover *remover = user;

	remover->n++;
	return remover->backend->ops->remove(remover->backend, name, NULL);
}

static void removed_is_gone_and_may_be_put_again(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;
	struct remover remover = {.backend = backend};

	if (!(backend->caps & CF_BACKEND_CAN_REMOVE)) {
		assert_true(backend->ops->remove == NULL);
		return;
	}
	assert_code(backend->ops->remove(backend, "keys/k", &err), CF_ERR_NOT_FOUND, &err);
	put_text(backend, "keys/k", "first");
	assert_code(backend->ops->remove(backend, "keys", &err), CF_ERR_NOT_FOUND, &err);
	expect_range(backend, "keys/k", 0, "first", 5);
	assert_code(backend->ops->remove(backend, "keys/k", &err), 0, &err);
	expect_absent(backend, "keys/k");
	expect_list(backend, "", "");
	assert_code(backend->ops->remove(backend, "keys/k", &err), CF_ERR_NOT_FOUND, &err);
	put_text(backend, "keys/k", "second");
	expect_range(backend, "keys/k", 0, "second", 6);
	put_text(backend, "keys/l", "third");
	assert_code(backend->ops->list(backend, "keys", remove_name, &remover, &err), 0, &err);
	assert_int_equal(remover.n, 2);
	expect_list(backend, "", "");
}

static void objects_outlive_the_handle(void **state)
{
	struct cf_backend_suite *suite = *state;
	const struct cf_backend_factory *factory = suite->factory;
	struct cf_err err = CF_ERR_INIT;

	put_text(suite->backend, "config", "kept");
	put_text(suite->backend, "packs/00/a", "kept too");
	suite->backend = factory->reopen(factory->user, suite->backend);
	expect_range(suite->backend, "config", 0, "kept", 4);
	expect_list(suite->backend, "", "config,packs/00/a");
	assert_code(cf_backend_put(suite->backend, "config", cf_span_str("x"), &err), CF_ERR_EXISTS, &err);
}

static void get_all_is_limited(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;

	put_text(backend, "config", "12345");
	assert_code(cf_backend_get_all(backend, "config", 4, &out, &err), CF_ERR_DAMAGED, &err);
	assert_int_equal(out.len, 0);
	assert_code(cf_backend_get_all(backend, "config", 5, &out, &err), 0, &err);
	assert_int_equal(out.len, 5);
	assert_code(cf_backend_get_all(backend, "absent", 5, &out, &err), CF_ERR_NOT_FOUND, &err);
	cf_buf_release(&out);
}

static void errors_need_no_place_to_go(void **state)
{
	struct cf_backend *backend = backend_of(state);
	struct cf_buf out = CF_BUF_INIT;
	uint64_t size;

	put_text(backend, "config", "x");
	assert_int_equal(cf_backend_put(backend, "config", cf_span_str("x"), NULL), CF_ERR_EXISTS);
	assert_int_equal(cf_backend_put(backend, "..", cf_span_str("x"), NULL), CF_ERR_USAGE);
	assert_int_equal(backend->ops->get(backend, "a", 0, 1, &out, NULL), CF_ERR_NOT_FOUND);
	assert_int_equal(backend->ops->get(backend, "config", 0, 2, &out, NULL), CF_ERR_DAMAGED);
	assert_int_equal(backend->ops->size(backend, "a", &size, NULL), CF_ERR_NOT_FOUND);
	assert_int_equal(backend->ops->list(backend, "none", keep_name, NULL, NULL), 0);
}

static int open_store(void **state)
{
	struct cf_backend_suite *suite = *state;

	suite->backend = suite->factory->fresh(suite->factory->user);
	return suite->backend ? 0 : -1;
}

static int close_store(void **state)
{
	struct cf_backend_suite *suite = *state;

	cf_backend_close(suite->backend);
	suite->backend = NULL;
	if (suite->factory->discard)
		suite->factory->discard(suite->factory->user);
	return 0;
}

int cf_backend_suite_run(const struct cf_backend_factory *factory)
{
	struct cf_backend_suite suite = {.factory = factory};
#define TEST(function) {#function, function, open_store, close_store, &suite}
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_is_got),
		TEST(ranges_are_exact_and_never_too_long),
		TEST(parts_are_joined_in_order),
		TEST(an_object_may_be_empty),
		TEST(a_big_object_comes_back_whole),
		TEST(a_taken_name_keeps_its_object),
		TEST(what_was_never_put_is_not_found),
		TEST(names_outside_the_rule_are_refused),
		TEST(a_prefix_is_of_whole_components),
		TEST(a_listing_gives_sizes_and_can_be_stopped),
		TEST(the_store_tells_when_it_took_an_object),
		TEST(removed_is_gone_and_may_be_put_again),
		TEST(objects_outlive_the_handle),
		TEST(get_all_is_limited),
		TEST(errors_need_no_place_to_go),
		TEST(cf_backend_suite_one_put_of_a_name_wins),
		TEST(cf_backend_suite_everything_at_once),
	};
#undef TEST

	return _cmocka_run_group_tests(factory->label, tests, sizeof(tests) / sizeof(tests[0]), NULL, NULL);
}
