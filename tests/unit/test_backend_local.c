/* What the local backend promises beyond the contract: files, links, leftovers, descriptors. */

#include "backends/backend.h"
#include "backends/fdcache.h"
#include "base/err.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void make_folder(void)
{
	strcpy(folder, "/tmp/coffer-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
}

static void remove_folder(void)
{
	assert_int_equal(nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static struct cf_backend *open_folder(void)
{
	struct cf_backend *backend = NULL;
	struct cf_err err = CF_ERR_INIT;

	if (cf_backend_open(folder, false, &backend, &err) != 0)
		fail_msg("%s", err.text);
	return backend;
}

static int begin_local(void **state)
{
	make_folder();
	*state = open_folder();
	return 0;
}

static int end_local(void **state)
{
	cf_backend_close(*state);
	remove_folder();
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static size_t count_files_in_tmp(void)
{
	char path[512];
	size_t n = 0;

	snprintf(path, sizeof(path), "ls -A %s/.tmp 2>/dev/null | wc -l", folder);
	FILE *pipe = popen(path, "r");

	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%zu", &n), 1);
	pclose(pipe);
	return n;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

static int put_text(struct cf_backend *backend, const char *name, const char *text, struct cf_err *err)
{
	return cf_backend_put(backend, name, cf_span_str(text), err);
}

/* 0 when the object has this text, else the code, or 1 when it has another. */
static int get_text(struct cf_backend *backend, const char *name, const char *want, struct cf_err *err)
{
	struct cf_buf out = CF_BUF_INIT;
	int rc = cf_backend_get_all(backend, name, 1000, &out, err);

	if (rc == 0)
		rc = out.len != strlen(want) || memcmp(out.data, want, out.len) != 0;
	cf_buf_release(&out);
	return rc;
}

static int count_one(void *user, const char *name, uint64_t size)
{
	++*(size_t *)user;
	return 0;
}

static size_t count_objects(struct cf_backend *backend)
{
	size_t n = 0;

	assert_int_equal(backend->ops->list(backend, "", count_one, &n, NULL), 0);
	return n;
}

/* Local: names and files. */

static void folders_and_files_are_private(void **state)
{
	struct stat st;
	mode_t old = umask(0);

	assert_int_equal(put_text(*state, "packs/0f/a", "x", NULL), 0);
	umask(old);
	assert_int_equal(stat(path_of("packs/0f/a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of("packs/0f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(path_of("packs"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(count_files_in_tmp(), 0);
}

static void leftovers_are_invisible_and_go_after_a_day(void **state)
{
	struct timespec old[2] = {{.tv_sec = time(NULL) - 90000}, {.tv_sec = time(NULL) - 90000}};

	assert_int_equal(put_text(*state, "config", "x", NULL), 0);
	write_file(".tmp/0123456789abcdef", "a crash left this today");
	write_file(".tmp/fedcba9876543210", "and this the day before");
	assert_int_equal(utimensat(AT_FDCWD, path_of(".tmp/fedcba9876543210"), old, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, path_of("config"), old, 0), 0);
	assert_int_equal(count_objects(*state), 1);
	cf_backend_close(*state);
	*state = open_folder();
	assert_int_equal(access(path_of(".tmp/0123456789abcdef"), F_OK), 0);
	assert_int_equal(access(path_of(".tmp/fedcba9876543210"), F_OK), -1);
	assert_int_equal(get_text(*state, "config", "x", NULL), 0);
}

static void foreign_names_are_not_listed(void **state)
{
	assert_int_equal(put_text(*state, "config", "x", NULL), 0);
	write_file("README", "not an object");
	write_file(".hidden", "not an object");
	assert_int_equal(mkdir(path_of("lost+found"), 0700), 0);
	write_file("lost+found/x", "not an object");
	assert_int_equal(count_objects(*state), 1);
}

static void what_is_no_file_is_no_object(void **state)
{
	struct cf_backend *backend = *state;
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;
	uint64_t size;
	size_t n = 0;

	assert_int_equal(symlink("/etc/passwd", path_of("link")), 0);
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_int_equal(mkdir(path_of("folder"), 0700), 0);
	assert_int_equal(put_text(backend, "link", "x", &err), CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "/link is not a regular file"));
	assert_int_equal(put_text(backend, "fifo", "x", &err), CF_ERR_FAILED);
	assert_int_equal(put_text(backend, "folder", "x", &err), CF_ERR_FAILED);
	assert_int_equal(backend->ops->get(backend, "link", 0, 1, &out, &err), CF_ERR_NOT_FOUND);
	assert_non_null(strstr(err.text, "/link is a symbolic link, not an object"));
	assert_int_equal(backend->ops->get(backend, "fifo", 0, 1, &out, &err), CF_ERR_NOT_FOUND);
	assert_int_equal(backend->ops->size(backend, "link", &size, &err), CF_ERR_NOT_FOUND);
	assert_int_equal(backend->ops->remove(backend, "link", &err), CF_ERR_NOT_FOUND);
	assert_int_equal(backend->ops->list(backend, "", count_one, &n, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(count_files_in_tmp(), 0);
}

static void a_linked_folder_is_not_followed(void **state)
{
	struct cf_backend *backend = *state;
	struct cf_err err = CF_ERR_INIT;
	struct cf_buf out = CF_BUF_INIT;
	size_t n = 0;

	assert_int_equal(mkdir(path_of("elsewhere"), 0700), 0);
	assert_int_equal(symlink("elsewhere", path_of("packs")), 0);
	assert_int_equal(put_text(backend, "packs/x", "x", &err), CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "/packs is a symbolic link"));
	assert_int_equal(backend->ops->get(backend, "packs/x", 0, 1, &out, &err), CF_ERR_FAILED);
	assert_int_equal(backend->ops->list(backend, "packs", count_one, &n, &err), CF_ERR_FAILED);
	assert_int_equal(access(path_of("elsewhere/x"), F_OK), -1);
}

static void an_object_where_a_folder_should_be_is_an_error(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(put_text(*state, "packs", "x", NULL), 0);
	assert_int_equal(put_text(*state, "packs/00/a", "x", &err), CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "/packs is not a folder"));
	assert_int_equal(get_text(*state, "packs/00/a", "x", &err), CF_ERR_NOT_FOUND);
}

static void a_vanished_folder_is_made_again(void **state)
{
	assert_int_equal(put_text(*state, "packs/00/a", "x", NULL), 0);
	assert_int_equal(unlink(path_of("packs/00/a")), 0);
	assert_int_equal(rmdir(path_of("packs/00")), 0);
	assert_int_equal(rmdir(path_of("packs")), 0);
	assert_int_equal(rmdir(path_of(".tmp")), 0);
	assert_int_equal(put_text(*state, "packs/00/b", "y", NULL), 0);
	assert_int_equal(get_text(*state, "packs/00/b", "y", NULL), 0);
}

/* Local: failures. */

static void a_failed_write_leaves_nothing(void **state)
{
	struct rlimit old, small;
	struct cf_err err = CF_ERR_INIT;
	size_t len = 20000000;
	uint8_t *data = test_calloc(1, len);
	int rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 10000001, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	rc = cf_backend_put(*state, "packs/00/a", cf_span_of(data, len), &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	test_free(data);
	assert_int_equal(rc, CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "packs/00/a: File too large"));
	assert_int_equal(count_files_in_tmp(), 0);
	assert_int_equal(count_objects(*state), 0);
	assert_int_equal(put_text(*state, "packs/00/a", "x", &err), 0);
}

static void a_read_only_folder_opens_and_reads(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(put_text(*state, "packs/00/a", "x", NULL), 0);
	cf_backend_close(*state);
	*state = NULL;
	assert_int_equal(chmod(path_of(".tmp"), 0500), 0);
	assert_int_equal(chmod(path_of("packs"), 0500), 0);
	assert_int_equal(chmod(folder, 0500), 0);
	/* root passes every mode; another user shows what modes do. */
	if (geteuid() == 0) {
		assert_int_equal(chown(folder, 65534, 65534), 0);
		assert_int_equal(chown(path_of(".tmp"), 65534, 65534), 0);
		assert_int_equal(chown(path_of("packs"), 65534, 65534), 0);
		assert_int_equal(chown(path_of("packs/00"), 65534, 65534), 0);
		assert_int_equal(chown(path_of("packs/00/a"), 65534, 65534), 0);
		assert_int_equal(seteuid(65534), 0);
	}
	*state = open_folder();
	assert_int_equal(get_text(*state, "packs/00/a", "x", NULL), 0);
	assert_int_equal(count_objects(*state), 1);
	assert_int_equal(put_text(*state, "packs/00/b", "x", &err), CF_ERR_ACCESS);
	assert_int_equal(put_text(*state, "index/b", "x", &err), CF_ERR_ACCESS);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(chmod(path_of("packs"), 0700), 0);
	assert_int_equal(chmod(path_of(".tmp"), 0700), 0);
}

static void a_shortened_object_is_damaged(void **state)
{
	struct cf_backend *backend = *state;
	struct cf_buf out = CF_BUF_INIT;

	assert_int_equal(put_text(backend, "config", "12345", NULL), 0);
	assert_int_equal(get_text(backend, "config", "12345", NULL), 0);
	assert_int_equal(truncate(path_of("config"), 3), 0);
	assert_int_equal(backend->ops->get(backend, "config", 0, 5, &out, NULL), CF_ERR_DAMAGED);
	assert_int_equal(backend->ops->get(backend, "config", 0, 3, &out, NULL), 0);
	cf_buf_release(&out);
}

static void what_another_process_removed_or_replaced_is_seen(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	char from[512];

	assert_int_equal(put_text(*state, "config", "12345", NULL), 0);
	assert_int_equal(get_text(*state, "config", "12345", NULL), 0);
	write_file("new", "other");
	strcpy(from, path_of("new"));
	assert_int_equal(rename(from, path_of("config")), 0);
	assert_int_equal(get_text(*state, "config", "other", NULL), 0);
	assert_int_equal(unlink(path_of("config")), 0);
	assert_int_equal(get_text(*state, "config", "", &err), CF_ERR_NOT_FOUND);
}

static void descriptors_are_bounded(void **state)
{
	char name[32];
	int before = dup(0), after;

	close(before);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3 * CF_FDCACHE_SLOTS; i++) {
			snprintf(name, sizeof(name), "packs/%d", i);
			if (round == 0)
				assert_int_equal(put_text(*state, name, name, NULL), 0);
			assert_int_equal(get_text(*state, name, name, NULL), 0);
		}
	}
	after = dup(0);
	close(after);
	assert_true(after - before <= CF_FDCACHE_SLOTS);
}

/* The cache of descriptors. */

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void a_descriptor_in_use_is_never_closed(void **state)
{
	struct cf_fdcache *cache;
	struct cf_fdcache_ref held, ref;
	char name[32];

	assert_int_equal(cf_fdcache_new(&cache, NULL), 0);
	held = cf_fdcache_add(cache, "held", dup(0));
	for (int i = 0; i < 2 * CF_FDCACHE_SLOTS; i++) {
		snprintf(name, sizeof(name), "%d", i);
		cf_fdcache_give(cache, cf_fdcache_add(cache, name, dup(0)));
	}
	assert_true(is_open(held.fd));
	cf_fdcache_forget(cache, "held");
	assert_true(is_open(held.fd));
	assert_false(cf_fdcache_take(cache, "held", &ref));
	cf_fdcache_give(cache, held);
	assert_false(is_open(held.fd));
	cf_fdcache_free(cache);
}

static void a_full_cache_hands_the_descriptor_back(void **state)
{
	struct cf_fdcache *cache;
	struct cf_fdcache_ref held[CF_FDCACHE_SLOTS], extra;

	assert_int_equal(cf_fdcache_new(&cache, NULL), 0);
	for (int i = 0; i < CF_FDCACHE_SLOTS; i++)
		held[i] = cf_fdcache_add(cache, "x", dup(0));
	extra = cf_fdcache_add(cache, "extra", dup(0));
	assert_true(is_open(extra.fd));
	cf_fdcache_give(cache, extra);
	assert_false(is_open(extra.fd));
	for (int i = 0; i < CF_FDCACHE_SLOTS; i++)
		cf_fdcache_give(cache, held[i]);
	assert_true(is_open(held[0].fd));
	cf_fdcache_free(cache);
	assert_false(is_open(held[0].fd));
}

/* Opening by URL. */

static void expect_open(const char *url, bool create, int code)
{
	struct cf_backend *backend = NULL;
	struct cf_err err = CF_ERR_INIT;
	int rc = cf_backend_open(url, create, &backend, &err);

	if (rc != code)
		print_error("%s gives %d: %s\n", url, rc, err.text);
	assert_int_equal(rc, code);
	cf_backend_close(backend);
}

static void urls_name_local_folders(void **state)
{
	char url[600];

	expect_open(folder, false, 0);
	snprintf(url, sizeof(url), "file:%s", folder);
	expect_open(url, false, 0);
	snprintf(url, sizeof(url), "file://%s", folder);
	expect_open(url, false, 0);
	snprintf(url, sizeof(url), "file:%s/new/deep", folder);
	expect_open(url, false, CF_ERR_NOT_FOUND);
	expect_open(url, true, 0);
	expect_open(url, false, 0);
	expect_open(url, true, 0);
	write_file("file", "x");
	expect_open(path_of("file"), true, CF_ERR_FAILED);
	expect_open(path_of("file"), false, CF_ERR_FAILED);
	expect_open(path_of("file/below"), true, CF_ERR_FAILED);
}

static void other_urls_are_refused(void **state)
{
	expect_open("", false, CF_ERR_USAGE);
	expect_open("file:", true, CF_ERR_USAGE);
	expect_open("file://host/path", true, CF_ERR_USAGE);
	expect_open("s3:bucket", true, CF_ERR_UNSUPPORTED);
	expect_open("sftp://host/path", false, CF_ERR_UNSUPPORTED);
	expect_open("./no:such", false, CF_ERR_NOT_FOUND);
	cf_backend_close(NULL);
}

#define LOCAL(function) cmocka_unit_test_setup_teardown(function, begin_local, end_local)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOCAL(folders_and_files_are_private),
		LOCAL(leftovers_are_invisible_and_go_after_a_day),
		LOCAL(foreign_names_are_not_listed),
		LOCAL(what_is_no_file_is_no_object),
		LOCAL(a_linked_folder_is_not_followed),
		LOCAL(an_object_where_a_folder_should_be_is_an_error),
		LOCAL(a_vanished_folder_is_made_again),
		LOCAL(a_failed_write_leaves_nothing),
		LOCAL(a_read_only_folder_opens_and_reads),
		LOCAL(a_shortened_object_is_damaged),
		LOCAL(what_another_process_removed_or_replaced_is_seen),
		LOCAL(descriptors_are_bounded),
		LOCAL(urls_name_local_folders),
		cmocka_unit_test(other_urls_are_refused),
		cmocka_unit_test(a_descriptor_in_use_is_never_closed),
		cmocka_unit_test(a_full_cache_hands_the_descriptor_back),
	};

	return cmocka_run_group_tests_name("backend_local", tests, NULL, NULL);
}
