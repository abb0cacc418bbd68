#include "base/file.h"

#include "base/err.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[64];

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int begin(void **state)
{
	strcpy(folder, "/tmp/coffer-test-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int end(void **state)
{
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void expect_content(const char *name, const char *want)
{
	struct cf_buf buf = CF_BUF_INIT;

	assert_int_equal(cf_file_read(AT_FDCWD, path_of(name), 1 << 20, &buf, NULL), 0);
	assert_int_equal(buf.len, strlen(want));
	if (buf.len > 0)
		assert_memory_equal(buf.data, want, buf.len);
	cf_buf_release(&buf);
}

static void replace_makes_and_replaces(void **state)
{
	mode_t old = umask(022);
	struct stat st;

	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str("one"), 0600, NULL), 0);
	expect_content("f", "one");
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str(""), 0640, NULL), 0);
	expect_content("f", "");
	assert_int_equal(stat(path_of("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	umask(old);
}

static void replace_works_below_a_folder_descriptor(void **state)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY);

	assert_int_equal(cf_file_replace(fd, "f", cf_span_str("one"), 0600, NULL), 0);
	expect_content("f", "one");
	close(fd);
}

static void a_failed_replace_keeps_the_old_file(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(mkdir(path_of("d"), 0700), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("d"), cf_span_str("x"), 0600, &err),
			 CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "/d"));
	assert_int_equal(rmdir(path_of("d")), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("no/f"), cf_span_str("x"), 0600, &err),
			 CF_ERR_NOT_FOUND);
	/* No temporary file stays: end() would find it, but so does a listing of one. */
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void a_planted_link_is_not_written_through(void **state)
{
	char temporary[600], victim[512];

	strcpy(victim, path_of("victim"));
	assert_int_equal(cf_file_replace(AT_FDCWD, victim, cf_span_str("safe"), 0600, NULL), 0);
	snprintf(temporary, sizeof(temporary), "%s.tmp-%ld", path_of("f"), (long)gettid());
	assert_int_equal(symlink(victim, temporary), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str("new"), 0600, NULL), 0);
	expect_content("victim", "safe");
	expect_content("f", "new");
}

struct replacer {
	char path[512];
	char fill;
};

static void *replace_often(void *arg)
{
	const struct replacer *replacer = arg;
	char text[5000];
	intptr_t n_failed = 0;

	memset(text, replacer->fill, sizeof(text));
	for (int i = 0; i < 20; i++)
		if (cf_file_replace(AT_FDCWD, replacer->path,
				    cf_span_of(text, sizeof(text)), 0600, NULL) != 0)
			n_failed++;
	return (void *)n_failed;
}

static void threads_may_replace_one_file(void **state)
{
	struct replacer replacers[4];
	pthread_t threads[4];
	struct cf_buf buf = CF_BUF_INIT;

	for (int i = 0; i < 4; i++) {
		replacers[i].fill = (char)('a' + i);
		strcpy(replacers[i].path, path_of("f"));
		assert_int_equal(pthread_create(&threads[i], NULL, replace_often, &replacers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		void *n_failed;

		pthread_join(threads[i], &n_failed);
		assert_null(n_failed);
	}
	assert_int_equal(cf_file_read(AT_FDCWD, path_of("f"), 5000, &buf, NULL), 0);
	assert_int_equal(buf.len, 5000);
	for (size_t i = 1; i < buf.len; i++)
		assert_int_equal(buf.data[i], buf.data[0]);
	cf_buf_release(&buf);
}

static void reading_is_limited(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str("12345"), 0600, NULL), 0);
	assert_int_equal(cf_buf_append_str(&buf, "ab", NULL), 0);
	assert_int_equal(cf_file_read(AT_FDCWD, path_of("f"), 5, &buf, NULL), 0);
	assert_int_equal(buf.len, 7);
	assert_memory_equal(buf.data, "ab12345", 7);
	assert_int_equal(cf_file_read(AT_FDCWD, path_of("f"), 4, &buf, &err), CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "4 bytes"));
	assert_int_equal(cf_file_read(AT_FDCWD, path_of("no"), 4, &buf, &err), CF_ERR_NOT_FOUND);
	assert_int_equal(cf_file_read(AT_FDCWD, folder, 4, &buf, &err), CF_ERR_FAILED);
	cf_buf_release(&buf);
}

static void writing_reports_where_it_failed(void **state)
{
	int fd = open("/dev/full", O_WRONLY);
	struct cf_err err = CF_ERR_INIT;

	assert_true(fd >= 0);
	assert_int_equal(cf_fd_write_all(fd, "the file", cf_span_str("x"), &err), CF_ERR_FULL);
	assert_non_null(strstr(err.text, "write the file: "));
	assert_int_equal(cf_fd_pwrite_all(fd, "the file", 10, cf_span_str("x"), &err), CF_ERR_FULL);
	close(fd);
}

static void pwrite_leaves_a_hole(void **state)
{
	struct cf_buf buf = CF_BUF_INIT;
	int fd = open(path_of("f"), O_RDWR | O_CREAT, 0600);

	assert_int_equal(cf_fd_pwrite_all(fd, "f", 3, cf_span_str("xy"), NULL), 0);
	assert_int_equal(cf_fd_write_all(fd, "f", cf_span_str("a"), NULL), 0);
	close(fd);
	assert_int_equal(cf_file_read(AT_FDCWD, path_of("f"), 10, &buf, NULL), 0);
	assert_int_equal(buf.len, 5);
	assert_memory_equal(buf.data, "a\0\0xy", 5);
	cf_buf_release(&buf);
}

static void folders_are_made_with_parents(void **state)
{
	struct cf_err err = CF_ERR_INIT;
	struct stat st;

	assert_int_equal(cf_dir_make(path_of("a/b//c/"), 0700, NULL), 0);
	assert_int_equal(stat(path_of("a/b/c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(cf_dir_make(path_of("a/b/c"), 0700, NULL), 0);
	assert_int_equal(cf_dir_make("/", 0700, NULL), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str("x"), 0600, NULL), 0);
	assert_int_equal(cf_dir_make(path_of("f"), 0700, &err), CF_ERR_FAILED);
	assert_non_null(strstr(err.text, "/f is not a folder"));
	assert_int_equal(cf_dir_make(path_of("f/g"), 0700, &err), CF_ERR_FAILED);
	assert_int_equal(cf_dir_make("", 0700, &err), CF_ERR_FAILED);
	assert_int_equal(symlink("nowhere", path_of("dangling")), 0);
	assert_true(cf_dir_make(path_of("dangling"), 0700, &err) < 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

static void remove_takes_a_tree_and_follows_no_link(void **state)
{
	assert_int_equal(mkdir(path_of("kept"), 0700), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("kept/f"), cf_span_str("x"), 0600, NULL), 0);
	assert_int_equal(cf_dir_make(path_of("tree/a/b"), 0700, NULL), 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("tree/a/b/f"), cf_span_str("x"), 0600, NULL), 0);
	assert_int_equal(symlink("../kept", path_of("tree/link")), 0);
	assert_int_equal(cf_path_remove(AT_FDCWD, path_of("tree"), NULL), 0);
	assert_int_not_equal(access(path_of("tree"), F_OK), 0);
	expect_content("kept/f", "x");
	/* Gone already, and a file. */
	assert_int_equal(cf_path_remove(AT_FDCWD, path_of("tree"), NULL), 0);
	assert_int_equal(cf_path_remove(AT_FDCWD, path_of("kept/f"), NULL), 0);
	assert_int_not_equal(access(path_of("kept/f"), F_OK), 0);
}

static void remove_names_what_stays(void **state)
{
	struct cf_err err = CF_ERR_INIT;

	assert_int_equal(cf_file_replace(AT_FDCWD, path_of("f"), cf_span_str("x"), 0600, NULL), 0);
	assert_int_not_equal(cf_path_remove(AT_FDCWD, path_of("f/below"), &err), 0);
	assert_non_null(strstr(err.text, "f/below"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(replace_makes_and_replaces),
		TEST(replace_works_below_a_folder_descriptor),
		TEST(a_failed_replace_keeps_the_old_file),
		TEST(a_planted_link_is_not_written_through),
		TEST(threads_may_replace_one_file),
		TEST(reading_is_limited),
		TEST(writing_reports_where_it_failed),
		TEST(pwrite_leaves_a_hole),
		TEST(folders_are_made_with_parents),
		TEST(remove_takes_a_tree_and_follows_no_link),
		TEST(remove_names_what_stays),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
