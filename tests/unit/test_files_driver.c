/* The files driver into a recording sink: what it pushes, leaves out and warns of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/files/files.h"
#include "tests/suite/sink_recorder.h"
#include "tests/suite/temp_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

struct fixture {
	struct cf_temp_folder folder;
	struct cf_sink_recorder *recorder;
	struct cf_source_options options;
	atomic_uint_least64_t n_warnings;
	char warnings[4096]; /* and notes: "name path-behind-the-folder;" for each */
	struct cf_reporter reporter;
	struct cf_ctx ctx;
	struct cf_err err;
	enum cf_recorder_step step; /* for hooks: at this step ... */
	const char *name;	    /* ... of this entry ... */
	const char *command;	    /* ... run this */
};

static void report(void *user, const struct cf_event *event)
{
	struct fixture *f = user;
	size_t len = strlen(f->warnings), skip = strlen(f->folder.path);

	if (event->kind == CF_EVENT_PROGRESS)
		return;
	assert_true(strncmp(event->object, f->folder.path, skip) == 0);
	snprintf(f->warnings + len, sizeof(f->warnings) - len, "%s %s;", event->name,
		 event->object + skip);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	cf_temp_folder_make(&f->folder);
	/* Tests that go on as nobody must get in. */
	assert_int_equal(chmod(f->folder.path, 0755), 0);
	f->recorder = cf_sink_recorder_new();
	f->recorder->user = f;
	f->reporter = (struct cf_reporter){.event = report, .user = f};
	f->ctx = (struct cf_ctx){.reporter = &f->reporter, .n_warnings = &f->n_warnings};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	cf_sink_recorder_free(f->recorder);
	cf_temp_folder_remove(&f->folder);
	free(f);
	return 0;
}

static int run(struct fixture *f)
{
	struct cf_source *source = NULL;
	int rc = cf_files_driver.open(f->folder.path, &f->options, &f->ctx, &source, &f->err);

	if (rc == 0)
		rc = cf_files_driver.run(source, &f->recorder->sink, &f->err);
	cf_files_driver.close(source);
	return rc;
}

static void run_well(struct fixture *f)
{
	if (run(f) < 0)
		fail_msg("%s", f->err.text);
}

static struct cf_recorded *find(const struct fixture *f, const char *path)
{
	return cf_sink_recorder_find(f->recorder, path);
}

static int run_command(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		       struct cf_err *err)
{
	struct fixture *f = user;

	if (f->command && step == f->step && strcmp(entry->name, f->name) == 0) {
		assert_true(cf_temp_folder_run(&f->folder, f->command));
		f->command = NULL;
	}
	return 0;
}

static void at_step(struct fixture *f, enum cf_recorder_step step, const char *name,
		    const char *command)
{
	f->recorder->hook = run_command;
	f->step = step;
	f->name = name;
	f->command = command;
}

static void names_are_pushed_sorted_by_bytes(void **state)
{
	static const char *const sorted[] = {"A", "B", "a", "a.b", "ab", "b", "\xc3\xa4", "\xff"};
	struct fixture *f = *state;
	const struct cf_recorded *r;
	size_t n = sizeof(sorted) / sizeof(*sorted);

	for (size_t i = n; i-- > 0;)
		cf_temp_folder_put(&f->folder, sorted[i], "");
	run_well(f);
	assert_int_equal(f->recorder->root->n_children, n);
	assert_int_equal(f->recorder->root->dir_flags, CF_DIR_SORTED);
	r = f->recorder->root->first_child;
	for (size_t i = 0; i < n; i++, r = r->next)
		assert_string_equal(r->entry->name, sorted[i]);
}

static void attributes_are_those_of_the_file(void **state)
{
	struct fixture *f = *state;
	const struct cf_entry *entry, *link;
	struct stat st;

	cf_temp_folder_put(&f->folder, "a", "12345");
	assert_int_equal(linkat(f->folder.fd, "a", f->folder.fd, "b", 0), 0);
	assert_int_equal(symlinkat("a", f->folder.fd, "c"), 0);
	cf_temp_folder_chmod(&f->folder, "a", 0640);
	run_well(f);
	assert_int_equal(fstatat(f->folder.fd, "a", &st, 0), 0);
	entry = find(f, "a")->entry;
	assert_int_equal(entry->mode, 0640);
	assert_int_equal(entry->size, 5);
	assert_int_equal(entry->nlink, 2);
	assert_int_equal(entry->ino, st.st_ino);
	assert_int_equal(entry->dev, st.st_dev);
	assert_int_equal(entry->ctime_ns, st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
	assert_int_equal(entry->mtime_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
	if (geteuid() == 0) {
		assert_string_equal(entry->user, "root");
		assert_string_equal(entry->group, "root");
	}
	assert_int_equal(find(f, "b")->entry->ino, st.st_ino);
	link = find(f, "c")->entry;
	assert_int_equal(link->type, CF_ENTRY_SYMLINK);
	assert_string_equal(link->target, "a");
}

static void times_beyond_64_bits_are_the_nearest_with_a_warning(void **state)
{
	/* 2300-01-01, and what this file system can say of it. */
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 10413792000}};
	struct fixture *f = *state;
	struct stat st;

	cf_temp_folder_put(&f->folder, "a", "");
	assert_int_equal(utimensat(f->folder.fd, "a", times, 0), 0);
	assert_int_equal(fstatat(f->folder.fd, "a", &st, 0), 0);
	if (st.st_mtim.tv_sec != times[1].tv_sec)
		skip();
	run_well(f);
	assert_true(find(f, "a")->entry->mtime_ns == INT64_MAX);
	assert_string_equal(f->warnings, "file.time /a;");
}

static void unknown_owners_have_no_name(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	cf_temp_folder_put(&f->folder, "a", "");
	assert_int_equal(fchownat(f->folder.fd, "a", 3123456, 3123457, 0), 0);
	run_well(f);
	assert_null(find(f, "a")->entry->user);
	assert_null(find(f, "a")->entry->group);
	assert_int_equal(find(f, "a")->entry->uid, 3123456);
}

static bool want_none(void *user, const struct cf_entry *entry)
{
	return false;
}

static void unwanted_files_are_not_opened(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "text");
	f->recorder->wants = want_none;
	/* Were it opened, this would be noticed as vanished. */
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "rm a");
	run_well(f);
	assert_non_null(find(f, "a"));
	assert_int_equal(f->n_warnings, 0);
}

static void holes_are_pushed_as_holes(void **state)
{
	struct fixture *f = *state;
	const struct cf_recorded *r;
	char block[65536];
	int fd = openat(f->folder.fd, "sparse", O_WRONLY | O_CREAT, 0644);
	struct stat st;

	memset(block, 'x', sizeof(block));
	assert_int_equal(pwrite(fd, block, sizeof(block), 1 << 20), sizeof(block));
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	fstat(fd, &st);
	close(fd);
	if (st.st_blocks * 512 >= st.st_size)
		skip();
	run_well(f);
	r = find(f, "sparse");
	assert_int_equal(r->content_len, 3 << 20);
	assert_int_equal(r->n_holes, 2);
	assert_int_equal(r->holes[0].off, 0);
	assert_int_equal(r->holes[0].len, 1 << 20);
	assert_int_equal(r->holes[1].off, (1 << 20) + sizeof(block));
	assert_memory_equal(r->content.data + (1 << 20), block, sizeof(block));
}

static void excluded_entries_are_left_out_silently(void **state)
{
	static const char *const excludes[] = {"*.o", "/build/", "sub/**/x", "!keep.o"};
	struct fixture *f = *state;

	f->options.excludes = excludes;
	f->options.n_excludes = 4;
	assert_true(cf_temp_folder_run(&f->folder,
				       "mkdir -p build sub/build sub/a/b && touch a.o keep.o "
				       "build/y sub/build/z sub/x sub/a/b/x sub/a/b/y"));
	run_well(f);
	assert_null(find(f, "a.o"));
	assert_non_null(find(f, "keep.o"));
	assert_null(find(f, "build"));
	assert_non_null(find(f, "sub/build/z"));
	assert_null(find(f, "sub/x"));
	assert_null(find(f, "sub/a/b/x"));
	assert_non_null(find(f, "sub/a/b/y"));
	assert_int_equal(f->n_warnings, 0);
}

static void tagged_caches_keep_only_their_tag(void **state)
{
	struct fixture *f = *state;

	f->options.exclude_caches = true;
	assert_true(cf_temp_folder_run(
		&f->folder,
		"mkdir -p cache/sub fake && touch cache/a fake/a && "
		"echo 'Signature: 8a477f597d28d172789f06886806bc55' > cache/CACHEDIR.TAG && "
		"echo 'Signature: no' > fake/CACHEDIR.TAG"));
	run_well(f);
	assert_int_equal(find(f, "cache")->n_children, 1);
	assert_non_null(find(f, "cache/CACHEDIR.TAG"));
	assert_int_equal(find(f, "fake")->n_children, 2);
}

static void other_file_systems_stay_empty_when_asked(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_mkdir(&f->folder, "mnt");
	if (!cf_temp_folder_run(&f->folder, "mount -t tmpfs none mnt 2>/dev/null"))
		skip();
	f->options.one_file_system = true;
	cf_temp_folder_put(&f->folder, "mnt/other", "");
	cf_temp_folder_put(&f->folder, "own", "");
	run_well(f);
	assert_true(cf_temp_folder_run(&f->folder, "umount mnt"));
	assert_non_null(find(f, "own"));
	assert_non_null(find(f, "mnt"));
	assert_int_equal(find(f, "mnt")->n_children, 0);
	assert_int_equal(f->n_warnings, 0);
}

static void skipped_folders_stay_empty(void **state)
{
	struct fixture *f = *state;
	struct cf_temp_path repository = cf_temp_folder_at(&f->folder, "link/to/../repository");
	struct cf_temp_path none = cf_temp_folder_at(&f->folder, "none");
	const char *const folders[] = {none.s, repository.s};
	struct cf_source *source = NULL;

	cf_temp_folder_mkdir(&f->folder, "a");
	cf_temp_folder_mkdir(&f->folder, "a/to");
	cf_temp_folder_mkdir(&f->folder, "a/repository");
	cf_temp_folder_put(&f->folder, "a/repository/config", "");
	cf_temp_folder_put(&f->folder, "a/b", "");
	assert_int_equal(symlinkat("a", f->folder.fd, "link"), 0);
	f->options.skip_folders = folders;
	f->options.n_skip_folders = 2;
	run_well(f);
	assert_non_null(find(f, "a/b"));
	assert_int_equal(find(f, "a/repository")->n_children, 0);
	assert_string_equal(f->warnings, "folder.skipped /a/repository;");
	assert_int_equal(f->n_warnings, 0);
	assert_int_equal(cf_files_driver.open(repository.s, &f->options, &f->ctx, &source, &f->err),
			 CF_ERR_FAILED);
	assert_non_null(strstr(f->err.text, "/a/repository is the repository itself"));
}

static void a_file_that_vanishes_is_a_warning(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "");
	cf_temp_folder_put(&f->folder, "b", "");
	cf_temp_folder_put(&f->folder, "c", "");
	/* b between its stat and its open; c between the listing and its stat */
	at_step(f, CF_RECORDER_FILE_BEGIN, "b", "rm b c");
	run_well(f);
	assert_string_equal(f->warnings, "file.vanished /b;file.vanished /c;");
	assert_non_null(find(f, "a"));
	assert_null(find(f, "b"));
	assert_int_equal(f->recorder->n_aborted, 1);
}

static void a_file_that_grows_is_kept_with_a_warning(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "before");
	at_step(f, CF_RECORDER_FILE_WRITE, "a", "printf ' after' >> a");
	run_well(f);
	assert_string_equal(f->warnings, "file.changed /a;");
	assert_string_equal(cf_sink_recorder_text(find(f, "a")), "before");
	assert_int_equal(find(f, "a")->entry->size, 6);
}

static void a_big_file_that_shrinks_is_kept_with_a_warning(void **state)
{
	struct fixture *f = *state;

	assert_true(cf_temp_folder_run(&f->folder, "head -c 3000000 /dev/urandom > a"));
	at_step(f, CF_RECORDER_FILE_WRITE, "a", "truncate -s 5 a");
	run_well(f);
	assert_string_equal(f->warnings, "file.changed /a;");
	assert_int_equal(find(f, "a")->content_len, 1 << 20);
	assert_int_equal(find(f, "a")->entry->size, 1 << 20);
}

static void a_file_changed_before_it_is_opened_is_saved_as_it_is_then(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "old");
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "echo newer > a");
	run_well(f);
	assert_string_equal(cf_sink_recorder_text(find(f, "a")), "newer\n");
	assert_int_equal(find(f, "a")->entry->size, 6);
	assert_int_equal(f->n_warnings, 0);
}

static void a_file_replaced_before_it_is_opened_is_saved_as_it_is_then(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	cf_temp_folder_put(&f->folder, "a", "old");
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "echo newer > b && mv b a");
	run_well(f);
	assert_string_equal(cf_sink_recorder_text(find(f, "a")), "newer\n");
	assert_int_equal(fstatat(f->folder.fd, "a", &st, 0), 0);
	assert_int_equal(find(f, "a")->entry->ino, st.st_ino);
}

static void a_link_planted_for_a_file_is_not_followed(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "old");
	cf_temp_folder_mkdir(&f->folder, "d");
	cf_temp_folder_put(&f->folder, "d/x", "");
	cf_temp_folder_put(&f->folder, "z", "");
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "ln -sf /etc/passwd a && rm -r d && ln -s /etc d");
	run_well(f);
	assert_null(find(f, "a"));
	assert_int_equal(find(f, "d")->entry->type, CF_ENTRY_SYMLINK);
	assert_non_null(find(f, "z"));
	assert_string_equal(f->warnings, "file.unreadable /a;");
}

static void a_fifo_planted_for_a_file_does_not_hang(void **state)
{
	struct fixture *f = *state;

	cf_temp_folder_put(&f->folder, "a", "old");
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "rm a && mkfifo a");
	run_well(f);
	assert_null(find(f, "a"));
	assert_string_equal(f->warnings, "file.changed /a;");
}

static void a_folder_removed_while_it_is_walked_is_a_warning(void **state)
{
	struct fixture *f = *state;

	assert_true(cf_temp_folder_run(&f->folder, "mkdir -p d/e && touch d/a d/e/b d/z z"));
	at_step(f, CF_RECORDER_FILE_BEGIN, "a", "rm -r d");
	run_well(f);
	assert_non_null(find(f, "d"));
	assert_non_null(find(f, "z"));
	assert_string_equal(f->warnings,
			    "file.vanished /d/a;file.vanished /d/e;file.vanished /d/z;");
}

/* Deep enough that the folders above are closed and have to be opened again. */
#define DEEP_80 "$(printf 'd/%.0s' $(seq 80))"

static void moved_deep_folders_are_found_again(void **state)
{
	struct fixture *f = *state;
	const struct cf_recorded *r;
	unsigned n_last = 0;

	assert_true(cf_temp_folder_run(
		&f->folder, "p=.; for i in $(seq 80); do p=$p/d; mkdir $p; touch $p/z; done; "
			    "touch " DEEP_80 "leaf"));
	at_step(f, CF_RECORDER_FILE_BEGIN, "leaf", "mkdir moved && mv " DEEP_80 " moved/away");
	run_well(f);
	for (r = f->recorder->root; r; r = r->first_child)
		n_last += r->n_children == 2 && r->last_child->entry->name[0] == 'z';
	assert_true(n_last >= 79);
}

static void folders_lost_while_below_them_are_a_warning(void **state)
{
	struct fixture *f = *state;

	assert_true(cf_temp_folder_run(
		&f->folder, "p=.; for i in $(seq 80); do p=$p/d; mkdir $p; touch $p/z; done; "
			    "touch " DEEP_80 "leaf"));
	/* The lower part goes elsewhere, so that ".." leads astray, and another folder stands at
	 * its old name. */
	at_step(f, CF_RECORDER_FILE_BEGIN, "leaf",
		"mkdir other && mv d/d/d/d other && mv d/d/d other/e && mkdir d/d/d && touch "
		"d/d/d/y");
	run_well(f);
	assert_null(find(f, "d/d/d/y"));
	assert_null(find(f, "d/d/d/z"));
	assert_non_null(find(f, "d/d/d/d/z"));
	assert_non_null(find(f, "d/d/z"));
	assert_string_equal(f->warnings, "file.vanished /d/d/d;");
}

static int run_as_nobody(struct fixture *f)
{
	int rc;

	assert_int_equal(setegid(NOBODY), 0);
	assert_int_equal(seteuid(NOBODY), 0);
	rc = run(f);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	return rc;
}

static void unreadable_entries_are_warnings(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_true(cf_temp_folder_run(
		&f->folder, "mkdir locked && touch locked/x secret open && chmod 0 secret "
			    "&& chmod 700 locked && chmod 644 open"));
	assert_int_equal(run_as_nobody(f), 0);
	assert_string_equal(f->warnings, "file.unreadable /locked;file.unreadable /secret;");
	assert_int_equal(find(f, "locked")->n_children, 0);
	assert_null(find(f, "secret"));
	assert_non_null(find(f, "open"));
}

static void an_unreadable_root_is_an_error(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->folder.path, 0711), 0);
	assert_int_equal(run_as_nobody(f), CF_ERR_ACCESS);
	assert_null(f->recorder->root);
}

static void an_unreadable_file_as_the_source_is_an_error(void **state)
{
	struct fixture *f = *state;

	if (geteuid() != 0)
		skip();
	cf_temp_folder_put(&f->folder, "secret", "");
	cf_temp_folder_chmod(&f->folder, "secret", 0);
	strcat(f->folder.path, "/secret");
	assert_int_equal(run_as_nobody(f), CF_ERR_ACCESS);
	assert_non_null(strstr(f->err.text, "/secret: Permission denied"));
	*strrchr(f->folder.path, '/') = '\0';
	assert_false(f->recorder->root->ended);
	assert_int_equal(f->n_warnings, 0);
}

static void few_descriptors_are_an_error_not_a_heap_of_warnings(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, low;
	int next = dup(0), rc;

	cf_temp_folder_put(&f->folder, "a", "");
	close(next);
	getrlimit(RLIMIT_NOFILE, &old);
	/* Room for the source and the root it walks, none for a file. */
	low = (struct rlimit){.rlim_cur = (rlim_t)next + 2, .rlim_max = old.rlim_max};
	setrlimit(RLIMIT_NOFILE, &low);
	rc = run(f);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(rc, CF_ERR_FAILED);
	assert_non_null(strstr(f->err.text, "Too many open files"));
	assert_int_equal(f->n_warnings, 0);
}

static int fail_step(void *user, enum cf_recorder_step step, const struct cf_entry *entry,
		     struct cf_err *err)
{
	struct fixture *f = user;

	return step == f->step ? cf_err_set(err, CF_ERR_FULL, "full at step %d", (int)step) : 0;
}

static void a_failing_sink_stops_the_walk(void **state)
{
	struct fixture *f = *state;

	assert_true(cf_temp_folder_run(&f->folder, "echo x > a && ln -s x b && truncate -s 1M c"));
	f->recorder->hook = fail_step;
	for (enum cf_recorder_step step = CF_RECORDER_DIR_BEGIN; step <= CF_RECORDER_FILE_END;
	     step++) {
		f->step = step;
		assert_int_equal(run(f), CF_ERR_FULL);
		cf_sink_recorder_free(f->recorder);
		f->recorder = cf_sink_recorder_new();
		f->recorder->hook = fail_step;
		f->recorder->user = f;
	}
}

static void cancelling_stops_the_walk(void **state)
{
	struct fixture *f = *state;
	atomic_int cancel = 1;

	f->ctx.cancel = &cancel;
	assert_int_equal(run(f), CF_ERR_CANCELED);
}

static void sources_that_make_no_sense_are_refused(void **state)
{
	static const char *const empty[] = {"/"};
	struct fixture *f = *state;
	struct cf_source *source = NULL;
	char path[600];

	assert_int_equal(cf_files_driver.open("", &f->options, &f->ctx, &source, &f->err),
			 CF_ERR_USAGE);
	snprintf(path, sizeof(path), "%s/none", f->folder.path);
	assert_int_equal(cf_files_driver.open(path, &f->options, &f->ctx, &source, &f->err),
			 CF_ERR_NOT_FOUND);
	assert_non_null(strstr(f->err.text, path));
	f->options.excludes = empty;
	f->options.n_excludes = 1;
	assert_int_equal(run(f), CF_ERR_USAGE);
}

static void names_of_sources_are_normal(void **state)
{
	struct fixture *f = *state;
	struct cf_source *source = NULL;
	char odd[1200], name[700];

	cf_temp_folder_mkdir(&f->folder, "d");
	snprintf(odd, sizeof(odd), "%s//d/.././d/", f->folder.path);
	assert_int_equal(cf_files_driver.open(odd, &f->options, &f->ctx, &source, NULL), 0);
	snprintf(name, sizeof(name), "files:%s/d", f->folder.path);
	assert_string_equal(source->name, name);
	cf_files_driver.close(source);
	assert_int_equal(cf_files_driver.open("/", &f->options, &f->ctx, &source, NULL), 0);
	assert_string_equal(source->name, "files:/");
	cf_files_driver.close(source);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(names_are_pushed_sorted_by_bytes),
		CASE(attributes_are_those_of_the_file),
		CASE(times_beyond_64_bits_are_the_nearest_with_a_warning),
		CASE(unknown_owners_have_no_name),
		CASE(unwanted_files_are_not_opened),
		CASE(holes_are_pushed_as_holes),
		CASE(excluded_entries_are_left_out_silently),
		CASE(tagged_caches_keep_only_their_tag),
		CASE(other_file_systems_stay_empty_when_asked),
		CASE(skipped_folders_stay_empty),
		CASE(a_file_that_vanishes_is_a_warning),
		CASE(a_file_that_grows_is_kept_with_a_warning),
		CASE(a_big_file_that_shrinks_is_kept_with_a_warning),
		CASE(a_file_changed_before_it_is_opened_is_saved_as_it_is_then),
		CASE(a_file_replaced_before_it_is_opened_is_saved_as_it_is_then),
		CASE(a_link_planted_for_a_file_is_not_followed),
		CASE(a_fifo_planted_for_a_file_does_not_hang),
		CASE(a_folder_removed_while_it_is_walked_is_a_warning),
		CASE(moved_deep_folders_are_found_again),
		CASE(folders_lost_while_below_them_are_a_warning),
		CASE(unreadable_entries_are_warnings),
		CASE(an_unreadable_root_is_an_error),
		CASE(an_unreadable_file_as_the_source_is_an_error),
		CASE(few_descriptors_are_an_error_not_a_heap_of_warnings),
		CASE(a_failing_sink_stops_the_walk),
		CASE(cancelling_stops_the_walk),
		CASE(sources_that_make_no_sense_are_refused),
		CASE(names_of_sources_are_normal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
