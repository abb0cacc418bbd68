#ifndef CF_BASE_STREAM_H
#define CF_BASE_STREAM_H

/*
 * The stream interface, where drivers and the repository meet.
 *
 * A producer pushes a tree of entries into a sink. On backup the producer is a driver and the sink is the
 * repository's writer; on restore the producer is the repository's reader and the sink is a driver's
 * restore target (a folder, a pipe, a database).
 *
 * Order: the producer begins the root directory (parent NULL, entry name ""), begins and ends what is in a
 * directory between its dir_begin and dir_end, and ends the root last. Several files and directories may be
 * open at once. Within one directory names may come in any order unless the directory was begun with
 * CF_DIR_SORTED (strictly ascending by byte value), which lets a sink keep memory bounded.
 *
 * Threads: all functions may be called from several threads at once, for entries of one directory too, as long as
 * the calls on one file come from one thread at a time (file_write_at is the exception, see there; two files that
 * share content count as one), a directory's dir_end comes after all else in it, and link comes while nothing
 * else does. A sink of a restore may ask for less (all calls on directories from one thread at a time, and
 * without file_write_at all calls), because the repository's reader does no more.
 */

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct cf_err;

enum cf_entry_type {
	CF_ENTRY_FILE = 1,
	CF_ENTRY_DIR = 2,
	CF_ENTRY_SYMLINK = 3,
	CF_ENTRY_FIFO = 4,
	CF_ENTRY_SOCKET = 5,
	CF_ENTRY_CHARDEV = 6,
	CF_ENTRY_BLOCKDEV = 7
};

/* An extended attribute (POSIX ACLs are the attributes system.posix_acl_access and _default). */
struct cf_xattr {
	const char *name;
	struct cf_span value;
};

/* A key and a value that a driver wants remembered with an entry or with the snapshot. UTF-8. */
struct cf_fact {
	const char *key;
	const char *value;
};

/*
 * One entry of a directory. All pointers are borrowed. Absent text is NULL.
 * A name is one path component: any bytes but '/' and NUL, not "." or ".."; the root's name is "".
 */
struct cf_entry {
	enum cf_entry_type type;
	const char *name;
	uint32_t mode; /* permission bits only, 07777 */
	uint32_t uid, gid;
	const char *user, *group;
	int64_t mtime_ns, ctime_ns; /* since 1970; ctime 0 when unknown */
	uint64_t size;              /* of a file's content: on backup a hint, on restore exact */
	uint64_t dev, ino;          /* identity at the source; 0, 0 when it has none */
	uint32_t nlink;             /* > 1: other entries with the same dev and ino are the same file */
	uint32_t rdev_major, rdev_minor; /* device nodes */
	const char *target;         /* symbolic links */
	const struct cf_xattr *xattrs;
	size_t n_xattrs;
	const struct cf_fact *facts;
	size_t n_facts;
};

/* How a file's content is best cut into chunks. */
enum cf_profile_kind {
	CF_PROFILE_BULK = 0, /* content-defined, for files and streams of unknown nature */
	CF_PROFILE_TEXT = 1, /* content-defined, for table data, one row a line */
	CF_PROFILE_PAGE = 2  /* fixed blocks aligned to page_len, for database files */
};

struct cf_profile {
	enum cf_profile_kind kind;
	uint32_t page_len; /* CF_PROFILE_PAGE: the database's page size, a power of two from 512 to 65536 */
	bool is_compressed; /* or encrypted, by the source: not worth a try to compress it or to find it alike */
};

enum cf_dir_flags {
	CF_DIR_SORTED = 1
};

/* Handles are the sink's own; the producer only passes them back. */
struct cf_dir;
struct cf_file;
struct cf_sink;

/* Every function returns 0 or a negative code with err set; after a failure the producer stops and
 * returns the same error. A slot that may be NULL says so. */
struct cf_sink_ops {
	/* *dir_out stays valid until dir_end. */
	int (*dir_begin)(struct cf_sink *sink, struct cf_dir *parent, const struct cf_entry *entry,
			 unsigned flags, struct cf_dir **dir_out, struct cf_err *err);

	/* entry: final attributes, or NULL for those given to dir_begin. The files begun in it must have
	 * ended. dir is invalid afterwards, also on failure. */
	int (*dir_end)(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		       struct cf_err *err);

	/* An entry without content or children: symbolic link, fifo, socket, device. */
	int (*node)(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		    struct cf_err *err);

	/*
	 * Begin a file. *file_out becomes NULL when the sink needs no content: on backup because the
	 * parent snapshot has the same size, mtime, ctime and inode, or because it is another name of a
	 * file already stored; then the entry is complete and file_end is not called.
	 * profile may be NULL (CF_PROFILE_BULK).
	 */
	int (*file_begin)(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			  const struct cf_profile *profile, struct cf_file **file_out, struct cf_err *err);

	/* The next bytes of the content. data is borrowed for the call. */
	int (*file_write)(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
			  struct cf_err *err);

	/* The next `len` bytes are a hole: they read as zeros and take no space. */
	int (*file_hole)(struct cf_sink *sink, struct cf_file *file, uint64_t len, struct cf_err *err);

	/*
	 * NULL, or: bytes at an offset, from any thread, several at once, in any order; the ranges of one
	 * file never overlap and what is never written is a hole. A producer uses either this or
	 * file_write/file_hole for a file. On backup NULL.
	 */
	int (*file_write_at)(struct cf_sink *sink, struct cf_file *file, uint64_t off,
			     struct cf_span data, struct cf_err *err);

	/*
	 * What will be written to `from` also becomes the next bytes of `file`, stored once: how one copy of a
	 * table's data serves both as a bare file and inside a script. Both are begun, nothing was written
	 * to from, and until from has ended nothing else is done with file but to abort it. One file may share
	 * from, and from shares nothing itself; file may share another one after from has ended. Both need their
	 * content: begin them without inode and ctime (0), else file_begin may say that the parent has it.
	 * Aborting from leaves file with a part of that content: abort it, too. NULL: the sink cannot (restore).
	 */
	int (*file_share)(struct cf_sink *sink, struct cf_file *file, struct cf_file *from,
			  struct cf_err *err);

	/* entry: final attributes (a file may have grown while read), or NULL for those of file_begin.
	 * file is invalid afterwards, also on failure. */
	int (*file_end)(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
			struct cf_err *err);

	/* Give the file up: its entry does not appear, what was restored of it is removed. */
	void (*file_abort)(struct cf_sink *sink, struct cf_file *file);

	/*
	 * Another name for a file that ended earlier. from is its path from the root ("a/b/c"). On backup
	 * its directory must still be open; a producer that knows dev and ino of its entries may
	 * instead begin the file again and is told that no content is needed.
	 * CF_ERR_NOT_FOUND when there is no such file.
	 */
	int (*link)(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
		    const char *from, struct cf_err *err);

	/* A fact about the whole source. May be NULL (restore). */
	int (*fact)(struct cf_sink *sink, const char *key, const char *value, struct cf_err *err);

	/* How much is to come, for progress; 0 for unknown. May be NULL. */
	void (*expect)(struct cf_sink *sink, uint64_t bytes, uint64_t items);
};

/* The first member of every sink. */
struct cf_sink {
	const struct cf_sink_ops *ops;
};

/* True when name can be an entry's name (see struct cf_entry). Sinks refuse others. */
bool cf_entry_name_valid(const char *name);

/* A deep copy in one allocation, for a sink that keeps an entry after the call; free() it. NULL when
 * memory is out. */
struct cf_entry *cf_entry_dup(const struct cf_entry *entry);

/* The same for a larger struct that begins with a cf_entry: head_len is its size; the rest of it is zero. */
void *cf_entry_dup_in(const struct cf_entry *entry, size_t head_len);

#endif
