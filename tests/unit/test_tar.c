#include "base/err.h"
#include "base/file.h"
#include "base/le.h"
#include "drivers/tar/tar.h"
#include "drivers/tar/tree.h"
#include "tests/suite/sink_recorder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ARCHIVE_MAX ((size_t)64 << 20)

/* One temporary folder a test; archives are made by the tools of the system. */
struct place {
	char dir[64];
	char archive[96];
	atomic_uint_least64_t n_warnings;
	char warning[CF_ERR_TEXT_MAX]; /* name and object of the last */
	struct cf_reporter reporter;
	struct cf_ctx ctx;
	struct cf_err err;
};

static void keep_warning(void *user, const struct cf_event *event)
{
	struct place *p = user;

	if (event->kind == CF_EVENT_WARNING)
		snprintf(p->warning, sizeof(p->warning), "%s %s", event->name, event->object);
}

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/coffer-tar-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->archive, sizeof(p->archive), "%s/a.tar", p->dir);
	p->reporter = (struct cf_reporter){.event = keep_warning, .user = p};
	p->ctx.reporter = &p->reporter;
	p->ctx.n_warnings = &p->n_warnings;
	*state = p;
	return 0;
}

/* Runs in the test's folder. */
static void shell(struct place *p, const char *script)
{
	char *command;

	assert_true(asprintf(&command, "set -e; cd %s; export LC_ALL=C.UTF-8; %s", p->dir, script) >
		    0);
	if (system(command) != 0)
		fail_msg("failed: %s", script);
	free(command);
}

static int teardown(void **state)
{
	struct place *p = *state;

	shell(p, "rm -rf \"$PWD\"");
	free(p);
	return 0;
}

static int run_source(struct place *p, const char *rest, struct cf_sink_recorder *recorder)
{
	struct cf_source_options options = {0};
	struct cf_source *source = NULL;
	int rc = cf_tar_driver.open(rest, &options, &p->ctx, &source, &p->err);

	if (rc == 0) {
		rc = cf_tar_driver.run(source, &recorder->sink, &p->err);
		cf_tar_driver.close(source);
	}
	return rc;
}

static struct cf_sink_recorder *unpack(struct place *p)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	if (run_source(p, p->archive, recorder) != 0)
		fail_msg("%s", p->err.text);
	assert_true(recorder->root->ended);
	return recorder;
}

static void assert_fails(struct place *p, const char *text)
{
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	assert_int_equal(run_source(p, p->archive, recorder), CF_ERR_FAILED);
	if (!strstr(p->err.text, text))
		fail_msg("'%s' does not say '%s'", p->err.text, text);
	cf_sink_recorder_free(recorder);
}

static struct cf_recorded *get(struct cf_sink_recorder *recorder, const char *path)
{
	struct cf_recorded *r = cf_sink_recorder_find(recorder, path);

	if (!r)
		fail_msg("no %s", path);
	assert_true(r->ended);
	return r;
}

static void assert_text(struct cf_sink_recorder *recorder, const char *path, const char *expected)
{
	assert_string_equal(cf_sink_recorder_text(get(recorder, path)), expected);
}

/* Makes a.tar by Python's tarfile; add(name, data, **attributes) appends a member. */
static void make_archive(struct place *p, const char *body)
{
	char path[128];
	char *script;

	snprintf(path, sizeof(path), "%s/make.py", p->dir);
	assert_true(
		asprintf(
			&script,
			"import tarfile, io, sys\n"
			"t = tarfile.open('a.tar', 'w', format=tarfile.PAX_FORMAT)\n"
			"def add(name, data=b'', **attributes):\n"
			"    i = tarfile.TarInfo(name)\n"
			"    i.size = len(data)\n"
			"    i.mtime = 1000000000\n"
			"    for k, v in attributes.items(): setattr(i, k, v)\n"
			"    t.addfile(i, io.BytesIO(data))\n"
			"DIR, LNK, SYM, CHR, BLK, FIFO = (tarfile.DIRTYPE, tarfile.LNKTYPE,\n"
			"    tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)\n"
			"%s\nt.close()\n",
			body) > 0);
	assert_int_equal(cf_file_replace(AT_FDCWD, path, cf_span_str(script), 0600, NULL), 0);
	free(script);
	shell(p, "/usr/bin/python3 make.py");
}

static void members_of_all_types_keep_their_attributes(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	make_archive(p, "add('./', type=DIR, mode=0o711, uid=5, gid=6)\n"
			"add('./d', type=DIR, mode=0o2750)\n"
			"add('./d/f', b'hello', mode=0o4755, uid=1000, gid=1001, uname='ann', "
			"gname='staff',\n"
			"    mtime=1234567890, pax_headers={'mtime': '1234567890.123456789',\n"
			"    'SCHILY.xattr.user.note': 'noted'})\n"
			"add('./d/l', type=SYM, linkname='../x')\n"
			"add('./d/h', type=LNK, linkname='./d/f')\n"
			"add('/d/c', type=CHR, devmajor=1, devminor=3)\n"
			"add('d//b', type=BLK, devmajor=8, devminor=1)\n"
			"add('d/p', type=FIFO)\n"
			"add('d/big', b'', uid=3000000000)\n");
	recorder = unpack(p);
	assert_int_equal(recorder->root->entry->mode, 0711);
	assert_int_equal(recorder->root->entry->uid, 5);
	assert_int_equal(recorder->root->entry->gid, 6);
	r = get(recorder, "d");
	assert_int_equal(r->entry->mode, 02750);
	assert_int_equal(r->n_children, 7);
	r = get(recorder, "d/f");
	assert_text(recorder, "d/f", "hello");
	assert_int_equal(r->entry->size, 5);
	assert_int_equal(r->entry->mode, 04755);
	assert_int_equal(r->entry->uid, 1000);
	assert_int_equal(r->entry->gid, 1001);
	assert_string_equal(r->entry->user, "ann");
	assert_string_equal(r->entry->group, "staff");
	assert_int_equal(r->entry->mtime_ns, INT64_C(1234567890123456789));
	assert_int_equal(r->entry->nlink, 1);
	assert_memory_equal(cf_sink_recorder_xattr(r, "user.note")->data, "noted", 5);
	assert_string_equal(get(recorder, "d/l")->entry->target, "../x");
	assert_string_equal(get(recorder, "d/h")->linked_from, "d/f");
	assert_int_equal(get(recorder, "d/c")->entry->type, CF_ENTRY_CHARDEV);
	assert_int_equal(get(recorder, "d/c")->entry->rdev_minor, 3);
	assert_int_equal(get(recorder, "d/b")->entry->type, CF_ENTRY_BLOCKDEV);
	assert_int_equal(get(recorder, "d/b")->entry->rdev_major, 8);
	assert_int_equal(get(recorder, "d/p")->entry->type, CF_ENTRY_FIFO);
	assert_int_equal(get(recorder, "d/big")->entry->uid, 3000000000U);
	assert_int_equal(p->n_warnings, 0);
	assert_string_equal(cf_sink_recorder_fact(recorder, "tar.filter"), "none");
	assert_non_null(strstr(cf_sink_recorder_fact(recorder, "tar.format"), "pax"));
	cf_sink_recorder_free(recorder);
}

static void times_beyond_64_bits_are_the_nearest_with_a_warning(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('late', mtime=10413792000)\n"
			"add('in-time', mtime=9000000000)\n");
	recorder = unpack(p);
	assert_true(get(recorder, "late")->entry->mtime_ns == INT64_MAX);
	assert_true(get(recorder, "in-time")->entry->mtime_ns == INT64_C(9000000000000000000));
	assert_string_equal(p->warning, "file.time late");
	assert_int_equal(p->n_warnings, 1);
	cf_sink_recorder_free(recorder);
}

static void parents_may_come_late_or_never(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('a/b/c/f', b'1')\n"
			"add('x/y', b'2')\n"
			"add('a/b', type=DIR, mode=0o700)\n"
			"add('a/b/g', b'3')\n"
			"add('a/b/', type=DIR, mode=0o705)\n"
			"add('empty/', type=DIR, mode=0o500)\n");
	recorder = unpack(p);
	assert_text(recorder, "a/b/c/f", "1");
	assert_text(recorder, "a/b/g", "3");
	assert_text(recorder, "x/y", "2");
	assert_int_equal(get(recorder, "a/b")->entry->mode, 0705);
	assert_int_equal(get(recorder, "a/b/c")->entry->mode, 0755);
	assert_int_equal(get(recorder, "empty")->n_children, 0);
	assert_int_equal(recorder->n_dirs, 6);
	assert_int_equal(p->n_warnings, 0);
	cf_sink_recorder_free(recorder);
}

static void later_member_of_a_name_wins(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('f', b'old')\n"
			"add('f', b'newer')\n"
			"add('g', b'file')\n"
			"add('g/h', b'now a folder')\n"
			"add('d/x', b'x')\n"
			"add('d', b'a file over a folder')\n");
	recorder = unpack(p);
	assert_text(recorder, "f", "newer");
	assert_text(recorder, "g/h", "now a folder");
	assert_text(recorder, "d/x", "x");
	assert_int_equal(recorder->root->n_children, 3);
	assert_int_equal(p->n_warnings, 1);
	assert_string_equal(p->warning, "tar.twice d");
	cf_sink_recorder_free(recorder);
}

static void dangerous_and_dangling_members_are_skipped(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('ok', b'1')\n"
			"add('../evil', b'2')\n"
			"add('a/../../evil', b'3')\n"
			"add('a/..', type=DIR)\n"
			"add('dangling', type=LNK, linkname='missing')\n"
			"add('outside', type=LNK, linkname='../../etc/passwd')\n"
			"add('ok', type=LNK, linkname='./ok')\n"
			"add('x/' * 9000 + 'deep', b'4')\n"
			"add('..a', b'5')\n");
	recorder = unpack(p);
	assert_int_equal(recorder->n_files, 2);
	assert_int_equal(recorder->n_links, 0);
	assert_int_equal(recorder->n_dirs, 1);
	assert_int_equal(p->n_warnings, 6);
	assert_text(recorder, "ok", "1");
	assert_text(recorder, "..a", "5");
	cf_sink_recorder_free(recorder);
}

static void any_compression_and_format_is_unpacked(void **state)
{
	static const struct {
		const char *make, *filter, *format;
	} kinds[] = {
		{"tar cf a.tar d", "none", "GNU tar"},
		{"tar cf - d | gzip > a.tar", "gzip", "GNU tar"},
		{"tar cf - d | bzip2 > a.tar", "bzip2", "GNU tar"},
		{"tar cf - d | xz > a.tar", "xz", "GNU tar"},
		{"tar cf - d | zstd -q > a.tar", "zstd", "GNU tar"},
		{"tar cf - d | gzip | zstd -q > a.tar", "gzip+zstd", "GNU tar"},
		{"tar --format=ustar -cf a.tar d", "none", "ustar"},
		{"tar --format=v7 -cf a.tar d", "none", "tar"},
		{"/usr/bin/python3 -m zipfile -c a.tar d", "none", "ZIP"},
	};
	struct place *p = *state;

	shell(p, "mkdir -p d/e; echo one > d/one; seq 20000 > d/e/two; seq 20000 > two");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct cf_sink_recorder *recorder;

		shell(p, kinds[i].make);
		recorder = unpack(p);
		assert_text(recorder, "d/one", "one\n");
		assert_int_equal(get(recorder, "d/e/two")->content_len, 108894);
		assert_string_equal(cf_sink_recorder_fact(recorder, "tar.filter"), kinds[i].filter);
		assert_non_null(
			strstr(cf_sink_recorder_fact(recorder, "tar.format"), kinds[i].format));
		assert_int_equal(p->n_warnings, 0);
		cf_sink_recorder_free(recorder);
	}
}

static void sparse_member_has_holes(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	struct cf_recorded *r;

	shell(p,
	      "truncate -s 10M s; printf mid | dd of=s bs=1 seek=5000000 conv=notrunc status=none;"
	      "truncate -s 4M none; tar --sparse -cf a.tar s none");
	recorder = unpack(p);
	r = get(recorder, "s");
	assert_int_equal(r->content_len, 10 << 20);
	assert_int_equal(r->entry->size, 10 << 20);
	assert_memory_equal(r->content.data + 5000000, "mid", 3);
	assert_true(r->n_holes >= 2);
	assert_int_equal(get(recorder, "none")->content_len, 4 << 20);
	assert_int_equal(get(recorder, "none")->n_holes, 1);
	cf_sink_recorder_free(recorder);
}

static void names_are_bytes_whatever_the_locale(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('gr\\u00fc\\u00dfe \\u65e5\\u672c', b'utf')\n"
			"add('new\\nline', b'nl')\n"
			"t.format = tarfile.USTAR_FORMAT; t.encoding = 'latin1'\n"
			"add('caf\\u00e9', b'latin')\n");
	recorder = unpack(p);
	assert_text(recorder,
		    "gr\xc3\xbc\xc3\x9f"
		    "e \xe6\x97\xa5\xe6\x9c\xac",
		    "utf");
	assert_text(recorder, "new\nline", "nl");
	assert_text(recorder, "caf\xe9", "latin");
	assert_int_equal(p->n_warnings, 0);
	cf_sink_recorder_free(recorder);
}

static void names_too_long_for_a_folder_are_a_warning(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('n' * 255 + '/a', b'fits')\n"
			"add('d/' + 'n' * 256 + '/b', b'not')\n");
	recorder = unpack(p);
	assert_int_equal(recorder->n_files, 2);
	assert_int_equal(p->n_warnings, 1);
	assert_memory_equal(p->warning, "tar.name d/nnn", 14);
	cf_sink_recorder_free(recorder);
}

static void links_and_nodes_have_other_names_too(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	make_archive(p, "add('t/a', type=SYM, linkname='target')\n"
			"add('t/b', type=LNK, linkname='t/a')\n"
			"add('t/c', type=FIFO)\n"
			"add('t/d', type=LNK, linkname='t/c')\n");
	recorder = unpack(p);
	assert_int_equal(p->n_warnings, 0);
	assert_int_equal(recorder->n_nodes, 2);
	assert_int_equal(recorder->n_links, 2);
	assert_int_equal(get(recorder, "t/a")->entry->type, CF_ENTRY_SYMLINK);
	assert_string_equal(get(recorder, "t/b")->linked_from, "t/a");
	assert_string_equal(get(recorder, "t/d")->linked_from, "t/c");
	cf_sink_recorder_free(recorder);
}

static void acl_becomes_an_extended_attribute(void **state)
{
	static const uint8_t expected[] = {2,	0,   0,	  0,   1,   0,	 6,  0,	  255, 255, 255,
					   255, 2,   0,	  4,   0,   232, 3,  0,	  0,   4,   0,
					   4,	0,   255, 255, 255, 255, 16, 0,	  6,   0,   255,
					   255, 255, 255, 32,  0,   0,	 0,  255, 255, 255, 255};
	struct place *p = *state;
	struct cf_sink_recorder *recorder;
	const struct cf_span *value;

	make_archive(p, "add('f', b'', mode=0o660, pax_headers={'SCHILY.acl.access':\n"
			"    'user::rw-,user:ann:r--:1000,group::r--,mask::rw-,other::---'})\n"
			"add('g', b'', mode=0o660, pax_headers={'SCHILY.acl.access':\n"
			"    'user::rw-,user:ann:r--,group::r--,mask::rw-,other::---'})\n");
	recorder = unpack(p);
	value = cf_sink_recorder_xattr(get(recorder, "f"), "system.posix_acl_access");
	assert_non_null(value);
	assert_int_equal(value->len, sizeof(expected));
	assert_memory_equal(value->data, expected, sizeof(expected));
	assert_null(cf_sink_recorder_xattr(get(recorder, "g"), "system.posix_acl_access"));
	assert_int_equal(p->n_warnings, 1);
	assert_string_equal(p->warning, "tar.acl g");
	cf_sink_recorder_free(recorder);
}

static void concatenated_archives_are_one(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	shell(p, "echo 1 > one; echo 2 > two; tar cf 1.tar one; tar cf 2.tar two; cat 1.tar 2.tar "
		 "> a.tar");
	recorder = unpack(p);
	assert_text(recorder, "one", "1\n");
	assert_text(recorder, "two", "2\n");
	assert_int_equal(p->n_warnings, 0);
	cf_sink_recorder_free(recorder);
}

static void truncated_or_damaged_archive_is_an_error(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	shell(p, "seq 100000 > f; seq 9 > g; tar cf whole f g; gzip -k whole");
	shell(p, "head -c 300000 whole > a.tar");
	assert_fails(p, "a.tar is damaged or truncated at byte ");
	shell(p, "head -c 100000 whole.gz > a.tar");
	assert_fails(p, "a.tar is damaged or truncated at byte ");
	/* 588895 bytes of content behind a header, padded: the second header starts at 589824. */
	shell(p, "cp whole a.tar; printf '\\377\\377\\377' | dd of=a.tar bs=1 seek=589850 "
		 "conv=notrunc status=none");
	assert_fails(p, "a.tar is damaged or truncated at byte ");
	shell(p, "head -c 589824 whole > a.tar");
	recorder = unpack(p);
	assert_int_equal(p->n_warnings, 1);
	assert_non_null(strstr(p->warning, "tar.no-end"));
	cf_sink_recorder_free(recorder);
}

static void what_is_no_archive_is_an_error(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	assert_int_equal(run_source(p, p->archive, recorder), CF_ERR_NOT_FOUND);
	assert_int_equal(run_source(p, "", recorder), CF_ERR_USAGE);
	cf_sink_recorder_free(recorder);
	shell(p, ": > a.tar");
	assert_fails(p, "a.tar is empty");
	shell(p, "head -c 10240 /dev/zero > a.tar");
	assert_fails(p, "a.tar has no members");
	shell(p, "seq 10000 > a.tar");
	assert_fails(p, "a.tar is no archive");
	/* A list that would make libarchive read files of this host. */
	shell(p, "printf '#mtree\\n./x type=file content=/etc/passwd\\n' > a.tar");
	assert_fails(p, "a.tar is no archive");
	shell(p, "echo plain | gzip > a.tar");
	assert_fails(p, "a.tar is no archive");
}

static void fifos_and_folders_are_refused_at_once(void **state)
{
	struct place *p = *state;

	shell(p, "mkfifo a.tar");
	assert_fails(p, "a.tar is a FIFO; read it with: coffer backup tar:- < /");
	shell(p, "rm a.tar; mkdir a.tar");
	assert_fails(p, "a.tar is not an archive but a folder");
	strcpy(p->archive, "/dev/null");
	assert_fails(p, "/dev/null is not an archive but a character device");
}

static void late_content_of_cpio_links_is_kept(void **state)
{
	/* Two names of one file in the newc format, the content with the second. */
	static const char archive[] = "070701"
				      "00000001"
				      "000081a4"
				      "00000000"
				      "00000000"
				      "00000002"
				      "3b9aca00"
				      "00000000"
				      "00000000"
				      "00000001"
				      "00000000"
				      "00000000"
				      "00000002"
				      "00000000"
				      "a\0"
				      "070701"
				      "00000001"
				      "000081a4"
				      "00000000"
				      "00000000"
				      "00000002"
				      "3b9aca00"
				      "00000004"
				      "00000000"
				      "00000001"
				      "00000000"
				      "00000000"
				      "00000002"
				      "00000000"
				      "b\0"
				      "data"
				      "070701"
				      "00000000"
				      "00000000"
				      "00000000"
				      "00000000"
				      "00000001"
				      "00000000"
				      "00000000"
				      "00000000"
				      "00000000"
				      "00000000"
				      "00000000"
				      "0000000b"
				      "00000000"
				      "TRAILER!!!\0\0\0\0";
	struct place *p = *state;
	struct cf_sink_recorder *recorder;

	assert_int_equal(cf_file_replace(AT_FDCWD, p->archive,
					 cf_span_of(archive, sizeof(archive) - 1), 0600, NULL),
			 0);
	recorder = unpack(p);
	assert_text(recorder, "b", "data");
	assert_string_equal(get(recorder, "a")->linked_from, "b");
	assert_int_equal(p->n_warnings, 0);
	cf_sink_recorder_free(recorder);
}

static bool want_nothing(void *user, const struct cf_entry *entry)
{
	return false;
}

static void unwanted_content_is_passed_over(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	recorder->wants = want_nothing;
	shell(p, "seq 100000 > f; seq 9 > g; tar cf a.tar f g");
	assert_int_equal(run_source(p, p->archive, recorder), 0);
	assert_int_equal(p->n_warnings, 0);
	assert_int_equal(get(recorder, "g")->content_len, 0);
	cf_sink_recorder_free(recorder);
}

/* Standard input becomes a pipe; the writer behind it succeeds when all it writes is read. */
static pid_t pipe_from_shell(const char *command)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	close(fds[1]);
	return pid;
}

static void standard_input_is_read_to_its_end(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();
	int saved = dup(STDIN_FILENO);
	int status;
	char command[160];
	pid_t pid;

	shell(p, "echo 1 > one; tar cf whole one");
	snprintf(command, sizeof(command), "cat %s/whole && head -c 1024000 /dev/zero", p->dir);
	pid = pipe_from_shell(command);
	if (run_source(p, "-", recorder) != 0)
		fail_msg("%s", p->err.text);
	dup2(saved, STDIN_FILENO);
	close(saved);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_text(recorder, "one", "1\n");
	cf_sink_recorder_free(recorder);
}

static int fail_write(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		      struct cf_err *err)
{
	return step == CF_RECORDER_FILE_WRITE ? cf_err_set(err, CF_ERR_FULL, "the sink is full")
					      : 0;
}

static void failing_sink_ends_the_run(void **state)
{
	struct place *p = *state;
	struct cf_sink_recorder *recorder = cf_sink_recorder_new();

	make_archive(p, "add('f', b'1')");
	recorder->hook = fail_write;
	assert_int_equal(run_source(p, p->archive, recorder), CF_ERR_FULL);
	assert_int_equal(recorder->n_aborted, 1);
	cf_sink_recorder_free(recorder);
}

static void paths_are_cleaned(void **state)
{
	static const struct {
		const char *path, *clean; /* NULL: refused */
	} cases[] = {
		{"a/b", "a/b"}, {"./a//b/", "a/b"}, {"/a/./b", "a/b"}, {"./", ""},     {"", ""},
		{"..", NULL},	{"a/../b", NULL},   {"a/..", NULL},    {"...", "..."}, {".a", ".a"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cf_buf out = CF_BUF_INIT;
		bool ok;

		assert_int_equal(cf_tar_path_clean(cases[i].path, &out, &ok, NULL), 0);
		assert_int_equal(ok, cases[i].clean != NULL);
		if (ok)
			assert_string_equal((const char *)out.data, cases[i].clean);
		cf_buf_release(&out);
	}
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACED(members_of_all_types_keep_their_attributes),
		PLACED(times_beyond_64_bits_are_the_nearest_with_a_warning),
		PLACED(parents_may_come_late_or_never),
		PLACED(later_member_of_a_name_wins),
		PLACED(dangerous_and_dangling_members_are_skipped),
		PLACED(any_compression_and_format_is_unpacked),
		PLACED(sparse_member_has_holes),
		PLACED(names_are_bytes_whatever_the_locale),
		PLACED(names_too_long_for_a_folder_are_a_warning),
		PLACED(links_and_nodes_have_other_names_too),
		PLACED(acl_becomes_an_extended_attribute),
		PLACED(concatenated_archives_are_one),
		PLACED(truncated_or_damaged_archive_is_an_error),
		PLACED(what_is_no_archive_is_an_error),
		PLACED(fifos_and_folders_are_refused_at_once),
		PLACED(late_content_of_cpio_links_is_kept),
		PLACED(unwanted_content_is_passed_over),
		PLACED(standard_input_is_read_to_its_end),
		PLACED(failing_sink_ends_the_run),
		cmocka_unit_test(paths_are_cleaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
