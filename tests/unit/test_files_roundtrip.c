/* The files driver straight into the restore sink: what comes out is what went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/files/files.h"
#include "drivers/files/restore.h"
#include "tests/suite/temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Two folders: `from`, made by the test, and `to`, made by the restore. */
struct fixture {
	struct cf_temp_folder folder;
	atomic_uint_least64_t n_warnings;
	struct cf_ctx ctx;
};

static void report(void *user, const struct cf_event *event)
{
	if (event->kind == CF_EVENT_WARNING)
		print_message("warning %s %s: %s\n", event->name, event->object, event->text);
}

static const struct cf_reporter reporter = {.event = report};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	cf_temp_folder_make(&f->folder);
	f->ctx = (struct cf_ctx){.reporter = &reporter, .n_warnings = &f->n_warnings};
	cf_temp_folder_mkdir(&f->folder, "from");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_remove(&f->folder);
	free(f);
	return 0;
}

static void copy_with(struct fixture *f, const struct cf_restore_options *how)
{
	static const struct cf_source_options options = {0};
	struct cf_source *source = NULL;
	struct cf_sink *sink = NULL;
	struct cf_err err = CF_ERR_INIT;
	int rc;

	rc = cf_files_driver.open(cf_temp_folder_at(&f->folder, "from").s, &options, &f->ctx,
				  &source, &err);
	if (rc == 0)
		rc = cf_files_restore_new(cf_temp_folder_at(&f->folder, "to").s, how, &f->ctx,
					  &sink, &err);
	if (rc == 0)
		rc = cf_files_driver.run(source, sink, &err);
	if (rc < 0)
		fail_msg("%s", err.text);
	cf_files_restore_free(sink);
	cf_files_driver.close(source);
}

static void copy(struct fixture *f)
{
	static const struct cf_restore_options how = {0};

	copy_with(f, &how);
}

static void assert_same_stat(const struct fixture *f, const char *path)
{
	char a_path[1024], b_path[1024];
	struct stat a, b;

	snprintf(a_path, sizeof(a_path), "from/%s", path);
	snprintf(b_path, sizeof(b_path), "to/%s", path);
	assert_int_equal(fstatat(f->folder.fd, a_path, &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(f->folder.fd, b_path, &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(a.st_mode, b.st_mode);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	assert_int_equal(a.st_rdev, b.st_rdev);
	assert_int_equal(a.st_uid, b.st_uid);
	assert_int_equal(a.st_gid, b.st_gid);
	if (!S_ISDIR(a.st_mode))
		assert_int_equal(a.st_size, b.st_size);
}

static void assert_same_content(const struct fixture *f, const char *path)
{
	char a_path[1024], b_path[1024], command[2200];

	snprintf(a_path, sizeof(a_path), "%s/from/%s", f->folder.path, path);
	snprintf(b_path, sizeof(b_path), "%s/to/%s", f->folder.path, path);
	snprintf(command, sizeof(command), "cmp '%s' '%s'", a_path, b_path);
	assert_int_equal(system(command), 0);
	assert_same_stat(f, path);
}

static void set_time(const struct fixture *f, const char *path, time_t seconds, long ns)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {seconds, ns}};

	assert_int_equal(utimensat(f->folder.fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void contents_modes_and_times_come_back(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "from/empty", "");
	cf_temp_folder_put(&f->folder, "from/small", "some text\n");
	cf_temp_folder_mkdir(&f->folder, "from/sub");
	cf_temp_folder_chmod(&f->folder, "from/sub", 0750);
	cf_temp_folder_put(&f->folder, "from/sub/script", "#!/bin/sh\n");
	cf_temp_folder_chmod(&f->folder, "from/sub/script", 0751);
	set_time(f, "from/sub/script", 1000000000, 123456789);
	set_time(f, "from/empty", -86400, 5); /* before 1970 */
	cf_temp_folder_mkdir(&f->folder, "from/locked");
	cf_temp_folder_put(&f->folder, "from/locked/x", "x");
	cf_temp_folder_chmod(&f->folder, "from/locked", 0500);
	set_time(f, "from/locked", 5, 6);
	set_time(f, "from/sub", 7, 8);
	cf_temp_folder_chmod(&f->folder, "from", 01711);
	set_time(f, "from", 9, 10);
	copy(f);
	assert_same_content(f, "empty");
	assert_same_content(f, "small");
	assert_same_content(f, "sub/script");
	assert_same_stat(f, "locked");
	assert_same_stat(f, "sub");
	assert_same_stat(f, ".");
	assert_int_equal(f->n_warnings, 0);
}

static void big_files_come_back(void **state)
{
	struct fixture *f = *state;
	char *data = malloc(3500001);

	for (size_t i = 0; i < 3500000; i++)
		data[i] = (char)('a' + i * i % 25);
	data[3500000] = '\0';
	cf_temp_folder_put(&f->folder, "from/big", data);
	free(data);
	copy(f);
	assert_same_content(f, "big");
}

static void owners_and_special_bits_come_back_as_root(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	cf_temp_folder_put(&f->folder, "from/setuid", "x");
	assert_int_equal(fchownat(f->folder.fd, "from/setuid", 1234, 4321, 0), 0);
	cf_temp_folder_chmod(&f->folder, "from/setuid", 06755);
	assert_int_equal(symlinkat("x", f->folder.fd, "from/link"), 0);
	assert_int_equal(fchownat(f->folder.fd, "from/link", 77, 78, AT_SYMLINK_NOFOLLOW), 0);
	cf_temp_folder_mkdir(&f->folder, "from/shared");
	assert_int_equal(fchownat(f->folder.fd, "from/shared", 5, 6, 0), 0);
	cf_temp_folder_chmod(&f->folder, "from/shared", 03775);
	copy(f);
	assert_same_stat(f, "setuid");
	assert_same_stat(f, "link");
	assert_same_stat(f, "shared");
}

static void foreign_files_lose_special_bits_without_their_owner(void **state)
{
	static const struct cf_restore_options how = {.no_owner = true};
	struct fixture *f = *state;
	struct stat st;

	if (geteuid() != 0)
		skip();
	cf_temp_folder_put(&f->folder, "from/setuid", "x");
	assert_int_equal(fchownat(f->folder.fd, "from/setuid", 1234, 4321, 0), 0);
	cf_temp_folder_chmod(&f->folder, "from/setuid", 06755);
	copy_with(f, &how);
	assert_int_equal(fstatat(f->folder.fd, "to/setuid", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 0);
}

static void odd_names_come_back(void **state)
{
	static const char *const names[] = {"new\nline", "q'uo\"te", "\xff\xfe\x80",
					    " ",	 "-rf",	     "*",
					    "tab\there", ".hidden",  "\\back"};
	struct fixture *f = *state;
	char path[400], name[256];

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "from/%s", names[i]);
		cf_temp_folder_put(&f->folder, path, names[i]);
	}
	memset(name, 'n', 255);
	name[255] = '\0';
	snprintf(path, sizeof(path), "from/%s", name);
	cf_temp_folder_put(&f->folder, path, "long");
	copy(f);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_same_stat(f, names[i]);
	assert_same_stat(f, name);
	assert_int_equal(f->n_warnings, 0);
}

static void links_come_back_dangling_and_long(void **state)
{
	struct fixture *f = *state;
	char target[4096], back[4096];

	memset(target, 't', sizeof(target));
	for (size_t i = 100; i < sizeof(target); i += 100)
		target[i] = '/';
	target[4095] = '\0';
	assert_int_equal(symlinkat(target, f->folder.fd, "from/long"), 0);
	assert_int_equal(symlinkat("/nowhere/at all", f->folder.fd, "from/dangling"), 0);
	assert_int_equal(symlinkat("..", f->folder.fd, "from/up"), 0);
	set_time(f, "from/dangling", 11, 12);
	copy(f);
	assert_same_stat(f, "long");
	assert_same_stat(f, "dangling");
	assert_same_stat(f, "up");
	assert_int_equal(readlinkat(f->folder.fd, "to/long", back, sizeof(back)), 4095);
	assert_memory_equal(back, target, 4095);
	assert_int_equal(f->n_warnings, 0);
}

static void make_socket(const struct fixture *f, const char *path)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(name.sun_path, sizeof(name.sun_path), "%.60s/%.40s", f->folder.path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	close(fd);
}

static void fifos_sockets_and_devices_come_back(void **state)
{
	struct fixture *f = *state;
	bool devices;

	assert_int_equal(mkfifoat(f->folder.fd, "from/fifo", 0640), 0);
	make_socket(f, "from/socket");
	devices = mknodat(f->folder.fd, "from/null", S_IFCHR | 0666, makedev(1, 3)) == 0 &&
		  mknodat(f->folder.fd, "from/disk", S_IFBLK | 0600, makedev(259, 1048575)) == 0;
	copy(f);
	assert_same_stat(f, "fifo");
	assert_same_stat(f, "socket");
	if (devices) {
		assert_same_stat(f, "null");
		assert_same_stat(f, "disk");
	}
	assert_int_equal(f->n_warnings, 0);
}

static void assert_xattr(const struct fixture *f, const char *path, const char *name,
			 const char *value)
{
	char got[64] = "";

	assert_int_equal(lgetxattr(cf_temp_folder_at(&f->folder, path).s, name, got, sizeof(got)),
			 strlen(value));
	assert_string_equal(got, value);
}

static void extended_attributes_come_back(void **state)
{
	struct fixture *f = *state;
	char big[3000];

	cf_temp_folder_put(&f->folder, "from/file", "x");
	cf_temp_folder_mkdir(&f->folder, "from/dir");
	assert_int_equal(symlinkat("x", f->folder.fd, "from/link"), 0);
	if (setxattr(cf_temp_folder_at(&f->folder, "from/file").s, "user.one", "1", 1, 0) != 0)
		skip();
	memset(big, 'b', sizeof(big));
	assert_int_equal(setxattr(cf_temp_folder_at(&f->folder, "from/file").s, "user.big", big,
				  sizeof(big), 0),
			 0);
	assert_int_equal(
		setxattr(cf_temp_folder_at(&f->folder, "from/file").s, "user.empty", "", 0, 0), 0);
	assert_int_equal(
		setxattr(cf_temp_folder_at(&f->folder, "from/dir").s, "user.dir", "d", 1, 0), 0);
	assert_int_equal(setxattr(cf_temp_folder_at(&f->folder, "from").s, "user.root", "r", 1, 0),
			 0);
	if (geteuid() == 0)
		assert_int_equal(lsetxattr(cf_temp_folder_at(&f->folder, "from/link").s,
					   "trusted.l", "t", 1, 0),
				 0);
	copy(f);
	assert_xattr(f, "to/file", "user.one", "1");
	assert_xattr(f, "to/file", "user.empty", "");
	assert_int_equal(
		lgetxattr(cf_temp_folder_at(&f->folder, "to/file").s, "user.big", big, sizeof(big)),
		3000);
	assert_xattr(f, "to/dir", "user.dir", "d");
	assert_xattr(f, "to", "user.root", "r");
	if (geteuid() == 0)
		assert_xattr(f, "to/link", "trusted.l", "t");
	assert_int_equal(f->n_warnings, 0);
}

/* getfacl of a folder, its own name left out. */
static void list_acls(const struct fixture *f, const char *folder, char out[4096])
{
	char command[1200];
	FILE *pipe;

	snprintf(command, sizeof(command), "cd '%s/%s' && getfacl -n . file sub sub/file",
		 f->folder.path, folder);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	out[fread(out, 1, 4095, pipe)] = '\0';
	assert_int_equal(pclose(pipe), 0);
	assert_true(strlen(out) > 0);
}

static void acls_come_back_and_none_is_inherited(void **state)
{
	struct fixture *f = *state;
	char before[4096], after[4096];

	cf_temp_folder_mkdir(&f->folder, "from/sub");
	cf_temp_folder_put(&f->folder, "from/file", "x");
	cf_temp_folder_put(&f->folder, "from/sub/file", "x");
	if (!cf_temp_folder_run(&f->folder, "setfacl -m u:12:rwx,g:13:r from/file 2>/dev/null"))
		skip();
	assert_true(cf_temp_folder_run(&f->folder, "setfacl -m u:12:rx,d:u:14:rwx from/sub"));
	/* What is restored lands under a folder that hands its own ACL down. */
	assert_true(cf_temp_folder_run(&f->folder, "setfacl -m d:u:99:rwx ."));
	list_acls(f, "from", before);
	copy(f);
	assert_true(cf_temp_folder_run(&f->folder, "setfacl -k -b ."));
	list_acls(f, "to", after);
	assert_string_equal(before, after);
}

static uint64_t blocks_of(const struct fixture *f, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(f->folder.fd, path, &st, 0), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void put_sparse(const struct fixture *f, const char *path, off_t size, const off_t *data,
		       size_t n_data)
{
	char block[4096];
	int fd = openat(f->folder.fd, path, O_WRONLY | O_CREAT, 0644);

	memset(block, 'd', sizeof(block));
	assert_int_equal(ftruncate(fd, size), 0);
	for (size_t i = 0; i < n_data; i++)
		assert_int_equal(pwrite(fd, block, sizeof(block), data[i]), sizeof(block));
	close(fd);
}

static void holes_come_back_as_holes(void **state)
{
	static const off_t middle[] = {1 << 20, 9 << 20}, ends[] = {0, (64 << 20) - 4096};
	struct fixture *f = *state;

	put_sparse(f, "from/all", 300 << 20, NULL, 0);
	put_sparse(f, "from/middle", 16 << 20, middle, 2);
	put_sparse(f, "from/ends", 64 << 20, ends, 2);
	copy(f);
	assert_same_content(f, "all");
	assert_same_content(f, "middle");
	assert_same_content(f, "ends");
	if (blocks_of(f, "from/all") == 0) {
		assert_int_equal(blocks_of(f, "to/all"), 0);
		assert_true(blocks_of(f, "to/middle") <= 64 << 10);
		assert_true(blocks_of(f, "to/ends") <= 64 << 10);
	}
}

/* chdir down: a path of this depth cannot be named at once. */
static void make_deep(const struct fixture *f, const char *top, unsigned depth)
{
	int fd = openat(f->folder.fd, top, O_RDONLY | O_DIRECTORY), leaf;

	for (unsigned i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(fd, "deep", 0755), 0);
		next = openat(fd, "deep", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	leaf = openat(fd, "leaf", O_WRONLY | O_CREAT, 0644);
	assert_true(leaf >= 0);
	close(leaf);
	close(fd);
}

static unsigned depth_of(const struct fixture *f, const char *top)
{
	int fd = openat(f->folder.fd, top, O_RDONLY | O_DIRECTORY), next;
	unsigned depth = 0;

	while ((next = openat(fd, "deep", O_RDONLY | O_DIRECTORY)) >= 0) {
		close(fd);
		fd = next;
		depth++;
	}
	assert_int_equal(faccessat(fd, "leaf", F_OK, 0), 0);
	close(fd);
	return depth;
}

static void ten_thousand_levels_come_back(void **state)
{
	struct fixture *f = *state;

	make_deep(f, "from", 10000);
	copy(f);
	assert_int_equal(depth_of(f, "to"), 10000);
	assert_int_equal(f->n_warnings, 0);
}

static void a_single_file_is_a_folder_of_one(void **state)
{
	static const struct cf_source_options options = {0};
	static const struct cf_restore_options how = {0};
	struct fixture *f = *state;
	struct cf_source *source = NULL;
	struct cf_sink *sink = NULL;
	char name[1100];

	cf_temp_folder_put(&f->folder, "from/one", "just this");
	cf_temp_folder_put(&f->folder, "from/two", "not this");
	assert_int_equal(symlinkat("one", f->folder.fd, "from/alias"), 0);
	assert_int_equal(cf_files_driver.open(cf_temp_folder_at(&f->folder, "from/alias").s,
					      &options, &f->ctx, &source, NULL),
			 0);
	snprintf(name, sizeof(name), "files:%s", cf_temp_folder_at(&f->folder, "from/one").s);
	assert_string_equal(source->name, name);
	assert_int_equal(cf_files_restore_new(cf_temp_folder_at(&f->folder, "to").s, &how, &f->ctx,
					      &sink, NULL),
			 0);
	assert_int_equal(cf_files_driver.run(source, sink, NULL), 0);
	assert_same_content(f, "one");
	assert_int_equal(faccessat(f->folder.fd, "to/two", F_OK, 0), -1);
	cf_files_restore_free(sink);
	cf_files_driver.close(source);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(contents_modes_and_times_come_back),
		CASE(big_files_come_back),
		CASE(owners_and_special_bits_come_back_as_root),
		CASE(foreign_files_lose_special_bits_without_their_owner),
		CASE(odd_names_come_back),
		CASE(links_come_back_dangling_and_long),
		CASE(fifos_sockets_and_devices_come_back),
		CASE(extended_attributes_come_back),
		CASE(acls_come_back_and_none_is_inherited),
		CASE(holes_come_back_as_holes),
		CASE(ten_thousand_levels_come_back),
		CASE(a_single_file_is_a_folder_of_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
