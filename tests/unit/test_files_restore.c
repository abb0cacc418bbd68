/* The restore sink by itself: what it refuses, replaces, and leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"
#include "drivers/files/restore.h"
#include "tests/suite/temp_folder.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NOBODY 65534

struct fixture {
	struct cf_temp_folder folder; /* with the restore's folder "to" in it */
	atomic_uint_least64_t n_warnings;
	char warnings[4096];
	struct cf_reporter reporter;
	struct cf_ctx ctx;
	struct cf_restore_options options;
	struct cf_sink *sink;
	struct cf_dir *root;
	struct cf_err err;
};

static void report(void *user, const struct cf_event *event)
{
	struct fixture *f = user;
	size_t len = strlen(f->warnings);

	snprintf(f->warnings + len, sizeof(f->warnings) - len, "%s %s;", event->name,
		 event->object + strlen(f->folder.path));
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	cf_temp_folder_make(&f->folder);
	assert_int_equal(chmod(f->folder.path, 0755), 0);
	f->reporter = (struct cf_reporter){.event = report, .user = f};
	f->ctx = (struct cf_ctx){.reporter = &f->reporter, .n_warnings = &f->n_warnings};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	cf_files_restore_free(f->sink);
	cf_temp_folder_remove(&f->folder);
	free(f);
	return 0;
}

static struct cf_entry entry_of(enum cf_entry_type type, const char *name)
{
	return (struct cf_entry){
		.type = type,
		.name = name,
		.mode = type == CF_ENTRY_DIR ? 0755 : 0644,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_ns = 1000000007,
		.target = type == CF_ENTRY_SYMLINK ? "target" : NULL,
	};
}

/* Begins a restore into "to", which exists when a test made it. */
static void begin(struct fixture *f)
{
	const struct cf_entry root = entry_of(CF_ENTRY_DIR, "");
	struct cf_temp_path to = cf_temp_folder_at(&f->folder, "to");

	if (cf_files_restore_new(to.s, &f->options, &f->ctx, &f->sink, &f->err) < 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(f->sink->ops->dir_begin(f->sink, NULL, &root, 0, &f->root, NULL), 0);
}

static void end(struct fixture *f)
{
	assert_int_equal(f->sink->ops->dir_end(f->sink, f->root, NULL, NULL), 0);
	cf_files_restore_free(f->sink);
	f->sink = NULL;
}

static int begin_dir(struct fixture *f, struct cf_dir *parent, const char *name,
		     struct cf_dir **dir)
{
	const struct cf_entry entry = entry_of(CF_ENTRY_DIR, name);

	return f->sink->ops->dir_begin(f->sink, parent, &entry, 0, dir, &f->err);
}

static int end_dir(struct fixture *f, struct cf_dir *dir)
{
	return f->sink->ops->dir_end(f->sink, dir, NULL, &f->err);
}

static int begin_file(struct fixture *f, struct cf_dir *dir, const char *name,
		      struct cf_file **file)
{
	const struct cf_entry entry = entry_of(CF_ENTRY_FILE, name);

	return f->sink->ops->file_begin(f->sink, dir, &entry, NULL, file, &f->err);
}

static int put_file(struct fixture *f, struct cf_dir *dir, const char *name, const char *text)
{
	struct cf_file *file = NULL;
	int rc = begin_file(f, dir, name, &file);

	if (rc == 0)
		rc = f->sink->ops->file_write(f->sink, file, cf_span_str(text), &f->err);
	return rc < 0 ? rc : f->sink->ops->file_end(f->sink, file, NULL, &f->err);
}

static int put_node(struct fixture *f, enum cf_entry_type type, const char *name)
{
	const struct cf_entry entry = entry_of(type, name);

	return f->sink->ops->node(f->sink, f->root, &entry, &f->err);
}

static int put_link(struct fixture *f, struct cf_dir *dir, const char *name, const char *from)
{
	const struct cf_entry entry = entry_of(CF_ENTRY_FILE, name);

	return f->sink->ops->link(f->sink, dir, &entry, from, &f->err);
}

static bool has(const struct fixture *f, const char *name, const char *text)
{
	return cf_temp_folder_has(&f->folder, name, text);
}

/* Nothing but the names given is in the folder. */
static void assert_listing(const struct fixture *f, const char *folder, const char *names)
{
	char command[2048];

	snprintf(command, sizeof(command), "test \"$(ls -A '%s' | tr '\\n' ' ')\" = '%s'", folder,
		 names);
	assert_true(cf_temp_folder_run(&f->folder, command));
}

static void missing_folders_are_made(void **state)
{
	struct fixture *f = *state;
	struct cf_temp_path deep = cf_temp_folder_at(&f->folder, "a/b/c//");
	struct stat st;

	assert_int_equal(cf_files_restore_new(deep.s, &f->options, &f->ctx, &f->sink, NULL), 0);
	assert_int_equal(fstatat(f->folder.fd, "a/b/c", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void an_existing_folder_keeps_its_own_attributes(void **state)
{
	struct fixture *f = *state;
	struct stat before, after;

	cf_temp_folder_mkdir(&f->folder, "to");
	cf_temp_folder_chmod(&f->folder, "to", 01777);
	assert_int_equal(fstatat(f->folder.fd, "to", &before, 0), 0);
	begin(f);
	end(f);
	assert_int_equal(fstatat(f->folder.fd, "to", &after, 0), 0);
	assert_int_equal(before.st_mode, after.st_mode);
	assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
}

static void a_folder_that_is_a_file_is_refused(void **state)
{
	struct fixture *f = *state;
	struct cf_temp_path to = cf_temp_folder_at(&f->folder, "to");

	cf_temp_folder_put(&f->folder, "to", "");
	assert_true(cf_files_restore_new(to.s, &f->options, &f->ctx, &f->sink, &f->err) < 0);
	assert_non_null(strstr(f->err.text, to.s));
}

static void existing_entries_are_refused_without_overwrite(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dir = NULL;

	assert_true(cf_temp_folder_run(&f->folder,
				       "mkdir -p to/d/e && echo old > to/a && ln -s a to/l"));
	begin(f);
	assert_int_equal(put_file(f, f->root, "a", "new"), CF_ERR_EXISTS);
	assert_non_null(strstr(f->err.text, "/to/a"));
	assert_int_equal(put_file(f, f->root, "l", "new"), CF_ERR_EXISTS);
	assert_int_equal(put_file(f, f->root, "d", "new"), CF_ERR_EXISTS);
	assert_int_equal(put_node(f, CF_ENTRY_FIFO, "a"), CF_ERR_EXISTS);
	assert_int_equal(put_node(f, CF_ENTRY_SYMLINK, "d"), CF_ERR_EXISTS);
	assert_non_null(strstr(f->err.text, "/to/d"));
	assert_int_equal(begin_dir(f, f->root, "a", &dir), CF_ERR_EXISTS);
	assert_int_equal(begin_dir(f, f->root, "l", &dir), CF_ERR_EXISTS);
	assert_int_equal(put_file(f, f->root, "new", "new"), 0);
	assert_int_equal(put_link(f, f->root, "a", "new"), CF_ERR_EXISTS);
	end(f);
	assert_true(has(f, "to/a", "old\n"));
	assert_listing(f, "to", "a d l new ");
}

static void a_file_that_appears_while_restoring_is_not_replaced(void **state)
{
	struct fixture *f = *state;
	struct cf_file *file = NULL;

	begin(f);
	assert_int_equal(begin_file(f, f->root, "a", &file), 0);
	cf_temp_folder_put(&f->folder, "to/a", "theirs");
	assert_int_equal(f->sink->ops->file_end(f->sink, file, NULL, &f->err), CF_ERR_EXISTS);
	assert_true(has(f, "to/a", "theirs"));
	assert_listing(f, "to", "a ");
	end(f);
}

static void existing_directories_are_merged_with(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dir = NULL;
	struct stat st;

	assert_true(cf_temp_folder_run(&f->folder,
				       "mkdir -p to/d && chmod 700 to/d && echo old > to/d/x"));
	begin(f);
	assert_int_equal(begin_dir(f, f->root, "d", &dir), 0);
	assert_int_equal(put_file(f, dir, "y", "new"), 0);
	assert_int_equal(end_dir(f, dir), 0);
	end(f);
	assert_listing(f, "to/d", "x y ");
	assert_int_equal(fstatat(f->folder.fd, "to/d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_mtim.tv_sec, 1);
	assert_int_equal(st.st_mtim.tv_nsec, 7);
}

static void overwrite_replaces_all_but_full_directories(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dir = NULL;

	f->options.overwrite = true;
	assert_true(cf_temp_folder_run(
		&f->folder,
		"mkdir -p to/full/x to/empty out && echo old > to/a && echo out > out/x && "
		"ln -s ../out/x to/l && ln -s ../out to/d && echo f > to/f && mkfifo to/p"));
	begin(f);
	assert_int_equal(put_file(f, f->root, "a", "new"), 0);
	assert_int_equal(put_file(f, f->root, "l", "new"), 0);
	assert_int_equal(put_file(f, f->root, "p", "new"), 0);
	assert_int_equal(put_file(f, f->root, "empty", "new"), 0);
	assert_int_equal(put_file(f, f->root, "full", "new"), CF_ERR_EXISTS);
	assert_non_null(strstr(f->err.text, "/to/full"));
	assert_int_equal(put_node(f, CF_ENTRY_SYMLINK, "full"), CF_ERR_EXISTS);
	assert_int_equal(put_node(f, CF_ENTRY_FIFO, "a"), 0);
	assert_int_equal(begin_dir(f, f->root, "d", &dir), 0);
	assert_int_equal(put_file(f, dir, "x", "in"), 0);
	assert_int_equal(end_dir(f, dir), 0);
	assert_int_equal(begin_dir(f, f->root, "f", &dir), 0);
	assert_int_equal(end_dir(f, dir), 0);
	end(f);
	assert_true(has(f, "out/x", "out\n"));
	assert_true(has(f, "to/d/x", "in"));
	assert_true(has(f, "to/l", "new"));
	assert_listing(f, "to", "a d empty f full l p ");
	assert_listing(f, "out", "x ");
}

static void hard_links_share_their_file(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dir = NULL;
	struct stat a, b;

	for (int round = 0; round < 2; round++) {
		f->options.overwrite = round > 0; /* the second time over the first one's result */
		begin(f);
		assert_int_equal(begin_dir(f, f->root, "d", &dir), 0);
		assert_int_equal(put_file(f, dir, "a", "text"), 0);
		assert_int_equal(put_link(f, dir, "b", "d/a"), 0);
		assert_int_equal(put_link(f, f->root, "c", "d/a"), 0);
		assert_int_equal(put_link(f, f->root, "c", "d/a"), round > 0 ? 0 : CF_ERR_EXISTS);
		assert_int_equal(end_dir(f, dir), 0);
		end(f);
		assert_int_equal(fstatat(f->folder.fd, "to/d/a", &a, 0), 0);
		assert_int_equal(fstatat(f->folder.fd, "to/c", &b, 0), 0);
		assert_int_equal(a.st_ino, b.st_ino);
		assert_int_equal(a.st_nlink, 3);
		assert_listing(f, "to", "c d ");
		assert_listing(f, "to/d", "a b ");
	}
}

static void links_to_nothing_or_outside_are_refused(void **state)
{
	struct fixture *f = *state;

	assert_true(cf_temp_folder_run(&f->folder,
				       "mkdir to out && echo x > out/x && ln -s ../out to/o"));
	begin(f);
	assert_int_equal(put_link(f, f->root, "a", "none"), CF_ERR_NOT_FOUND);
	assert_int_equal(put_link(f, f->root, "a", "no/folder"), CF_ERR_NOT_FOUND);
	assert_int_equal(put_link(f, f->root, "a", "../out/x"), CF_ERR_DAMAGED);
	assert_int_equal(put_link(f, f->root, "a", "/etc/passwd"), CF_ERR_DAMAGED);
	assert_int_equal(put_link(f, f->root, "a", ".."), CF_ERR_DAMAGED);
	assert_int_equal(put_link(f, f->root, "a", ""), CF_ERR_DAMAGED);
	assert_true(put_link(f, f->root, "a", "o/x") < 0);
	end(f);
	assert_listing(f, "to", "o ");
}

static void names_that_are_no_names_are_damage(void **state)
{
	static const char *const names[] = {"", ".", "..", "a/b", "/etc", "../out"};
	struct fixture *f = *state;
	struct cf_file *file = NULL;
	struct cf_dir *dir = NULL;

	begin(f);
	assert_int_equal(put_file(f, f->root, "real", ""), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_int_equal(begin_file(f, f->root, names[i], &file), CF_ERR_DAMAGED);
		assert_int_equal(begin_dir(f, f->root, names[i], &dir), CF_ERR_DAMAGED);
		assert_int_equal(put_node(f, CF_ENTRY_SYMLINK, names[i]), CF_ERR_DAMAGED);
		assert_int_equal(put_link(f, f->root, names[i], "real"), CF_ERR_DAMAGED);
	}
	end(f);
	assert_listing(f, "to", "real ");
	assert_listing(f, ".", "to ");
}

static void names_too_long_for_linux_are_left_out_with_a_warning(void **state)
{
	struct fixture *f = *state;
	struct cf_temp_path to = cf_temp_folder_at(&f->folder, "to");
	char name[257], in_it[260];
	struct cf_dir *dir, *sub;
	struct cf_file *file = (struct cf_file *)f;

	begin(f);
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_int_equal(put_file(f, f->root, name, "fits"), 0);
	assert_int_equal(f->n_warnings, 0);
	name[255] = 'n';
	name[256] = '\0';
	snprintf(in_it, sizeof(in_it), "%s/a", name);
	assert_int_equal(begin_file(f, f->root, name, &file), 0);
	assert_null(file);
	assert_int_equal(put_node(f, CF_ENTRY_SYMLINK, name), 0);
	assert_int_equal(put_link(f, f->root, name, "n"), 0);
	assert_int_equal(put_link(f, f->root, "b", in_it), 0);
	assert_int_equal(begin_dir(f, f->root, name, &dir), 0);
	assert_int_equal(f->n_warnings, 5);
	assert_int_equal(begin_dir(f, dir, "sub", &sub), 0);
	assert_int_equal(begin_file(f, sub, "a", &file), 0);
	assert_null(file);
	assert_int_equal(end_dir(f, sub), 0);
	assert_int_equal(end_dir(f, dir), 0);
	assert_int_equal(put_file(f, f->root, "c", "after"), 0);
	end(f);
	assert_int_equal(f->n_warnings, 5);
	assert_true(strncmp(f->warnings, "restore.name /to/nnn", 20) == 0);
	name[255] = '\0';
	snprintf(in_it, sizeof(in_it), "c %s ", name);
	assert_listing(f, to.s, in_it);
}

static void links_and_nodes_have_other_names_too(void **state)
{
	struct fixture *f = *state;
	struct stat a, b;

	begin(f);
	assert_int_equal(put_node(f, CF_ENTRY_SYMLINK, "l"), 0);
	assert_int_equal(put_node(f, CF_ENTRY_FIFO, "p"), 0);
	assert_int_equal(put_file(f, f->root, "target", "not this"), 0);
	assert_int_equal(put_link(f, f->root, "l2", "l"), 0);
	assert_int_equal(put_link(f, f->root, "p2", "p"), 0);
	end(f);
	assert_int_equal(fstatat(f->folder.fd, "to/l", &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(f->folder.fd, "to/l2", &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(b.st_mode) && a.st_ino == b.st_ino && a.st_nlink == 2);
	assert_int_equal(fstatat(f->folder.fd, "to/p", &a, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(fstatat(f->folder.fd, "to/p2", &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISFIFO(b.st_mode) && a.st_ino == b.st_ino && a.st_nlink == 2);
	if (geteuid() != 0)
		return;
	begin(f);
	assert_int_equal(put_node(f, CF_ENTRY_CHARDEV, "null"), 0);
	assert_int_equal(put_link(f, f->root, "null2", "null"), 0);
	end(f);
	assert_int_equal(fstatat(f->folder.fd, "to/null2", &b, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(b.st_mode) && b.st_nlink == 2);
}

static void a_link_planted_for_an_open_directory_is_not_followed(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dir = NULL, *deep[300];

	assert_true(cf_temp_folder_run(&f->folder, "mkdir out"));
	begin(f);
	assert_int_equal(begin_dir(f, f->root, "victim", &dir), 0);
	/* Enough for the first one to lose its descriptor: its name is opened again. */
	deep[0] = f->root;
	for (size_t i = 1; i < 300; i++)
		assert_int_equal(begin_dir(f, deep[i - 1], "d", &deep[i]), 0);
	assert_true(cf_temp_folder_run(&f->folder, "mv to/victim away && ln -s ../out to/victim"));
	assert_true(put_file(f, dir, "x", "planted") < 0);
	assert_true(cf_temp_folder_run(&f->folder, "rm to/victim && mkdir to/victim"));
	assert_true(put_file(f, dir, "x", "planted") < 0);
	assert_true(cf_temp_folder_run(&f->folder, "rmdir to/victim && mv away to/victim"));
	assert_int_equal(put_file(f, dir, "x", "fine"), 0);
	for (size_t i = 300; i-- > 1;)
		assert_int_equal(end_dir(f, deep[i]), 0);
	assert_int_equal(end_dir(f, dir), 0);
	end(f);
	assert_listing(f, "out", "");
	assert_true(has(f, "to/victim/x", "fine"));
}

static void given_up_files_leave_nothing(void **state)
{
	struct fixture *f = *state;
	struct cf_file *file = NULL;

	begin(f);
	assert_int_equal(begin_file(f, f->root, "a", &file), 0);
	assert_int_equal(f->sink->ops->file_write(f->sink, file, cf_span_str("half"), NULL), 0);
	assert_false(cf_temp_folder_exists(&f->folder, "to/a"));
	f->sink->ops->file_abort(f->sink, file);
	assert_listing(f, "to", "");
	/* A restore that stops in the middle, with files and directories open. */
	assert_int_equal(begin_file(f, f->root, "b", &file), 0);
	assert_int_equal(begin_file(f, f->root, "c", &file), 0);
	cf_files_restore_free(f->sink);
	f->sink = NULL;
	assert_listing(f, "to", "");
}

static void final_attributes_are_those_of_the_end(void **state)
{
	struct fixture *f = *state;
	struct cf_file *file = NULL;
	struct cf_entry last = entry_of(CF_ENTRY_FILE, "a");
	struct stat st;

	last.mode = 0400;
	last.mtime_ns = -1;
	last.size = 5000;
	begin(f);
	assert_int_equal(begin_file(f, f->root, "a", &file), 0);
	assert_int_equal(f->sink->ops->file_end(f->sink, file, &last, NULL), 0);
	end(f);
	assert_int_equal(fstatat(f->folder.fd, "to/a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(st.st_size, 5000); /* all of it a hole */
	assert_int_equal(st.st_mtim.tv_sec, -1);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
}

static void impossible_holes_are_damage(void **state)
{
	struct fixture *f = *state;
	struct cf_file *file = NULL;

	begin(f);
	assert_int_equal(begin_file(f, f->root, "a", &file), 0);
	assert_int_equal(f->sink->ops->file_hole(f->sink, file, UINT64_MAX, &f->err),
			 CF_ERR_DAMAGED);
	assert_int_equal(f->sink->ops->file_hole(f->sink, file, INT64_MAX, NULL), 0);
	assert_int_equal(f->sink->ops->file_hole(f->sink, file, 1, &f->err), CF_ERR_DAMAGED);
	f->sink->ops->file_abort(f->sink, file);
	end(f);
}

#define N_THREADS 4
#define PIECE	  8192
#define N_PIECES  256

struct writer {
	struct cf_sink *sink;
	struct cf_dir *dir;
	struct cf_file *file;
	size_t first;
	int rc;
};

/* Every fourth piece is this thread's; the last ones are never written. */
static void *write_pieces(void *arg)
{
	struct writer *w = arg;
	uint8_t piece[PIECE];

	for (size_t i = w->first; i < N_PIECES && w->rc == 0; i += N_THREADS) {
		memset(piece, (int)(1 + i % 200), sizeof(piece));
		w->rc = w->sink->ops->file_write_at(w->sink, w->file, i * PIECE,
						    cf_span_of(piece, PIECE), NULL);
	}
	return NULL;
}

/* More than is kept in the page cache, in pieces that no block or page boundary fits; a hole between. */
static void a_large_file_in_odd_pieces_is_what_was_written(void **state)
{
	enum {
		ODD = 700001,
		N_ODD = 97,
		HOLE_AT = 40
	};
	struct fixture *f = *state;
	struct cf_entry entry = entry_of(CF_ENTRY_FILE, "a");
	uint8_t *piece = malloc(ODD), *found = malloc(ODD);
	struct cf_file *file = NULL;
	int fd;

	assert_non_null(piece);
	assert_non_null(found);
	entry.size = (uint64_t)ODD * N_ODD;
	assert_true(entry.size > 64 << 20);
	begin(f);
	assert_int_equal(f->sink->ops->file_begin(f->sink, f->root, &entry, NULL, &file, NULL), 0);
	for (size_t i = 0; i < N_ODD; i++) {
		size_t at = i ^ 1; /* neighbours in exchanged order */

		if (at == HOLE_AT || at >= N_ODD)
			continue;
		memset(piece, (int)(1 + at), ODD);
		assert_int_equal(f->sink->ops->file_write_at(f->sink, file, at * ODD,
							     cf_span_of(piece, ODD), NULL),
				 0);
	}
	memset(piece, N_ODD, ODD);
	assert_int_equal(f->sink->ops->file_write_at(f->sink, file, (N_ODD - 1) * (uint64_t)ODD,
						     cf_span_of(piece, ODD), NULL),
			 0);
	assert_int_equal(f->sink->ops->file_end(f->sink, file, NULL, NULL), 0);
	end(f);
	fd = openat(f->folder.fd, "to/a", O_RDONLY);
	assert_true(fd >= 0);
	for (size_t i = 0; i < N_ODD; i++) {
		memset(piece, i == HOLE_AT ? 0 : (int)(1 + i), ODD);
		assert_int_equal(read(fd, found, ODD), ODD);
		assert_memory_equal(found, piece, ODD);
	}
	assert_int_equal(read(fd, found, 1), 0);
	close(fd);
	free(piece);
	free(found);
}

/* Batches of small files come from several threads, for one directory. */
#define N_SMALL 200

static void *restore_small_files(void *arg)
{
	struct writer *w = arg;

	for (size_t i = w->first; i < N_SMALL && w->rc == 0; i += N_THREADS) {
		char name[16];
		struct cf_entry entry = entry_of(CF_ENTRY_FILE, name);
		struct cf_file *file = NULL;

		snprintf(name, sizeof(name), "%zu", i);
		entry.size = strlen(name);
		w->rc = w->sink->ops->file_begin(w->sink, w->dir, &entry, NULL, &file, NULL);
		if (w->rc == 0)
			w->rc = w->sink->ops->file_write_at(w->sink, file, 0, cf_span_str(name), NULL);
		if (w->rc == 0)
			w->rc = w->sink->ops->file_end(w->sink, file, NULL, NULL);
	}
	return NULL;
}

static void small_files_from_threads_make_one_folder(void **state)
{
	struct fixture *f = *state;
	struct writer writers[N_THREADS];
	pthread_t threads[N_THREADS];

	begin(f);
	for (size_t i = 0; i < N_THREADS; i++) {
		writers[i] = (struct writer){.sink = f->sink, .dir = f->root, .first = i};
		assert_int_equal(pthread_create(&threads[i], NULL, restore_small_files, &writers[i]),
				 0);
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].rc, 0);
	}
	end(f);
	for (size_t i = 0; i < N_SMALL; i++) {
		char path[32], text[16] = "";
		int fd;

		snprintf(path, sizeof(path), "to/%zu", i);
		fd = openat(f->folder.fd, path, O_RDONLY);
		assert_true(fd >= 0);
		assert_true(read(fd, text, sizeof(text) - 1) > 0);
		assert_string_equal(text, path + 3);
		close(fd);
	}
}

static void pieces_from_threads_make_one_file(void **state)
{
	struct fixture *f = *state;
	struct cf_entry entry = entry_of(CF_ENTRY_FILE, "a");
	struct writer writers[N_THREADS];
	pthread_t threads[N_THREADS];
	struct cf_file *file = NULL;
	uint8_t byte;
	struct stat st;
	int fd;

	entry.size = (N_PIECES + 10) * PIECE;
	begin(f);
	assert_int_equal(f->sink->ops->file_begin(f->sink, f->root, &entry, NULL, &file, NULL), 0);
	for (size_t i = 0; i < N_THREADS; i++) {
		writers[i] = (struct writer){.sink = f->sink, .file = file, .first = i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_pieces, &writers[i]), 0);
	}
	for (size_t i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].rc, 0);
	}
	assert_int_equal(f->sink->ops->file_end(f->sink, file, NULL, NULL), 0);
	end(f);
	fd = openat(f->folder.fd, "to/a", O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, entry.size);
	for (size_t i = 0; i < N_PIECES; i++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)(i * PIECE + i)), 1);
		assert_int_equal(byte, 1 + i % 200);
	}
	close(fd);
}

struct filer {
	struct fixture *f;
	struct cf_dir **dirs;
	unsigned number;
	int rc;
};

static void *put_files(void *arg)
{
	struct filer *t = arg;
	struct cf_sink *sink = t->f->sink;
	char name[32];

	for (unsigned i = 0; i < 400 && t->rc == 0; i++) {
		struct cf_entry entry = entry_of(CF_ENTRY_FILE, name);
		struct cf_file *file = NULL;

		snprintf(name, sizeof(name), "%u-%u", t->number, i);
		t->rc = sink->ops->file_begin(sink, t->dirs[i % 200], &entry, NULL, &file, NULL);
		if (t->rc == 0)
			t->rc = sink->ops->file_write(sink, file, cf_span_str(name), NULL);
		if (t->rc == 0)
			t->rc = sink->ops->file_end(sink, file, NULL, NULL);
	}
	return NULL;
}

static void files_from_threads_land_in_more_directories_than_are_kept_open(void **state)
{
	struct fixture *f = *state;
	struct cf_dir *dirs[200];
	struct filer filers[N_THREADS];
	pthread_t threads[N_THREADS];
	char name[32];

	begin(f);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		assert_int_equal(begin_dir(f, f->root, name, &dirs[i]), 0);
	}
	for (unsigned i = 0; i < N_THREADS; i++) {
		filers[i] = (struct filer){.f = f, .dirs = dirs, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, put_files, &filers[i]), 0);
	}
	for (unsigned i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(filers[i].rc, 0);
	}
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(end_dir(f, dirs[i]), 0);
	end(f);
	assert_true(has(f, "to/d199/3-399", "3-399"));
	assert_true(cf_temp_folder_run(&f->folder, "test $(find to -type f | wc -l) = 1600"));
}

static void what_is_refused_to_a_user_is_a_warning(void **state)
{
	struct fixture *f = *state;
	struct cf_entry device = entry_of(CF_ENTRY_CHARDEV, "null"),
			file = entry_of(CF_ENTRY_FILE, "a");
	const struct cf_xattr xattr = {.name = "trusted.x", .value = {(const uint8_t *)"v", 1}};
	struct cf_file *handle = NULL;
	struct stat st;

	if (geteuid() != 0)
		skip();
	device.rdev_major = 1;
	device.rdev_minor = 3;
	file.xattrs = &xattr;
	file.n_xattrs = 1;
	file.mode = 04755;
	cf_temp_folder_mkdir(&f->folder, "to");
	cf_temp_folder_chmod(&f->folder, "to", 0777);
	assert_int_equal(seteuid(NOBODY), 0);
	begin(f);
	assert_int_equal(f->sink->ops->node(f->sink, f->root, &device, NULL), 0);
	assert_int_equal(f->sink->ops->file_begin(f->sink, f->root, &file, NULL, &handle, NULL), 0);
	assert_int_equal(f->sink->ops->file_end(f->sink, handle, NULL, NULL), 0);
	end(f);
	assert_int_equal(seteuid(0), 0);
	assert_string_equal(f->warnings, "restore.node /to/null;restore.xattr /to/a;");
	assert_int_equal(f->n_warnings, 2);
	assert_int_equal(fstatat(f->folder.fd, "to/a", &st, 0), 0);
	assert_int_equal(st.st_uid, NOBODY);
	assert_int_equal(st.st_mode & 07777, 0755);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(missing_folders_are_made),
		CASE(an_existing_folder_keeps_its_own_attributes),
		CASE(a_folder_that_is_a_file_is_refused),
		CASE(existing_entries_are_refused_without_overwrite),
		CASE(a_file_that_appears_while_restoring_is_not_replaced),
		CASE(existing_directories_are_merged_with),
		CASE(overwrite_replaces_all_but_full_directories),
		CASE(hard_links_share_their_file),
		CASE(links_to_nothing_or_outside_are_refused),
		CASE(names_that_are_no_names_are_damage),
		CASE(names_too_long_for_linux_are_left_out_with_a_warning),
		CASE(links_and_nodes_have_other_names_too),
		CASE(a_link_planted_for_an_open_directory_is_not_followed),
		CASE(given_up_files_leave_nothing),
		CASE(final_attributes_are_those_of_the_end),
		CASE(impossible_holes_are_damage),
		CASE(pieces_from_threads_make_one_file),
		CASE(a_large_file_in_odd_pieces_is_what_was_written),
		CASE(small_files_from_threads_make_one_folder),
		CASE(files_from_threads_land_in_more_directories_than_are_kept_open),
		CASE(what_is_refused_to_a_user_is_a_warning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
