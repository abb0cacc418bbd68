#ifndef CF_FUSE_BEHIND_H
#define CF_FUSE_BEHIND_H

/*
 * Gives back what the kernel keeps of files that were read and will hardly be read again. Filling ever fresh pages costs more than
 * decoding does, and drives out what other programs need. A thread of its own: the kernel may wait for a read to be answered.
 */

#include <stdint.h>

struct cf_behind;
struct cf_err;
struct fuse_session;

/* session is borrowed. */
int cf_behind_new(struct fuse_session *session, struct cf_behind **behind_out, struct cf_err *err);
/* Stopped. */
void cf_behind_free(struct cf_behind *behind);

/* Have bytes of an inode's content dropped, soon. Any thread. */
void cf_behind_drop(struct cf_behind *behind, uint64_t ino, uint64_t off, uint64_t len);

/* Nothing is dropped any more once this returns. Requests must be served until then. May be called again. */
void cf_behind_stop(struct cf_behind *behind);

#endif
