#ifndef CF_DRIVERS_FILES_RESTORE_FILE_H
#define CF_DRIVERS_FILES_RESTORE_FILE_H

/* The file operations of the restore sink, see struct cf_sink_ops. */

#include "base/stream.h"

int cf_restore_file_begin(struct cf_sink *sink, struct cf_dir *dir, const struct cf_entry *entry,
			  const struct cf_profile *profile, struct cf_file **file_out,
			  struct cf_err *err);
int cf_restore_file_write(struct cf_sink *sink, struct cf_file *file, struct cf_span data,
			  struct cf_err *err);
int cf_restore_file_hole(struct cf_sink *sink, struct cf_file *file, uint64_t len,
			 struct cf_err *err);
int cf_restore_file_write_at(struct cf_sink *sink, struct cf_file *file, uint64_t off,
			     struct cf_span data, struct cf_err *err);
int cf_restore_file_end(struct cf_sink *sink, struct cf_file *file, const struct cf_entry *entry,
			struct cf_err *err);
void cf_restore_file_abort(struct cf_sink *sink, struct cf_file *file);

#endif
