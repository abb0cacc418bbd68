#ifndef CF_FUSE_FILES_H
#define CF_FUSE_FILES_H

/*
 * Content of files for a mount: reads at any offset from a cache of verified chunks, and for readers that go forward a
 * pool of threads that decode ahead. Only the chunks that a read touches are decoded for a random read. Any thread.
 */

#include "fuse/cache.h"
#include "repo/content.h"

#include <sys/uio.h>

struct cf_files;
struct cf_file_reader;

/* budget: bytes of decoded chunks kept. n_threads 0: one per processor. */
int cf_files_new(struct cf_repo *repo, size_t budget, unsigned n_threads, struct cf_files **files_out,
		 struct cf_err *err);
/* Every reader is closed and every read released. */
void cf_files_free(struct cf_files *files);

int cf_file_reader_open(struct cf_files *files, const struct cf_content *content,
			struct cf_file_reader **reader_out, struct cf_err *err);
void cf_file_reader_close(struct cf_file_reader *reader);

/* Bytes of a file, where they lie in the cache. Start with CF_READ_INIT. */
struct cf_read {
	struct iovec *pieces;
	struct cf_cache_entry **entries; /* what keeps them there */
	size_t n_pieces, n_entries, capacity;
};

/* clang-format off */
#define CF_READ_INIT { .pieces = NULL, .entries = NULL, .n_pieces = 0, .n_entries = 0, .capacity = 0 }
/* clang-format on */

/* Bytes off .. off+len, cut at the end of the content. Release read in either case. CF_ERR_DAMAGED. */
int cf_file_reader_read(struct cf_file_reader *reader, uint64_t off, size_t len, struct cf_read *read,
			struct cf_err *err);
void cf_read_release(struct cf_files *files, struct cf_read *read);

/*
 * Where the next stretch of data, or with `hole` the next hole, begins at or behind off; the end of a file counts as a hole.
 * 1 and *off_out, 0 when there is none, or an error.
 */
int cf_file_reader_seek(struct cf_file_reader *reader, uint64_t off, bool hole, uint64_t *off_out, struct cf_err *err);

/* How much of a content is no hole. Of very large ones the rest counts as data. */
int cf_files_data_len(struct cf_files *files, const struct cf_content *content, uint64_t *len_out, struct cf_err *err);

/* What a reader that goes forward has left well behind since it was asked last. False: nothing worth a call. */
bool cf_file_reader_left(struct cf_file_reader *reader, uint64_t *off_out, uint64_t *len_out);

#endif
