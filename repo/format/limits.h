#ifndef CF_REPO_FORMAT_LIMITS_H
#define CF_REPO_FORMAT_LIMITS_H

/* What format version 1 allows. A length read from storage is held against these before it is believed. */

#define CF_FORMAT_VERSION 1

#define CF_REPO_ID_LEN	  16
#define CF_KEY_LEN	  32
#define CF_TAG_LEN	  16
#define CF_SIGNATURE_LEN  64 /* Ed25519 */
#define CF_CHUNK_LEN_MAX  (16u << 20) /* plain bytes of one chunk */
#define CF_FRAME_LEN_MAX  (64u << 20) /* plain bytes of one blob: chunks compressed together */
#define CF_BLOB_LEN_MAX	  (72u << 20) /* sealed bytes of one blob */
#define CF_PACK_LEN_MAX	  (1u << 30)
#define CF_TABLE_LEN_MAX  (256u << 20)
#define CF_OBJECT_LEN_MAX (512u << 20) /* index segment or snapshot */
#define CF_JSON_LEN_MAX	  (64u << 20)
#define CF_BASES_MAX	  2 /* chunks a delta is against: a cut that moved leaves a chunk that resembles two */
#define CF_CONTENT_LEVELS 8
#define CF_EPOCHS_MAX	  4096

#endif
