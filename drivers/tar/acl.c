#include "drivers/tar/acl.h"

#include "base/le.h"

#include <archive_entry.h>
#include <stdlib.h>

/* linux/posix_acl_xattr.h: a 32-bit version, then (tag, permissions, id) by ascending tag and id.
 */
#define ACL_VERSION 2
#define ACL_NO_ID   UINT32_MAX
#define RECORD_LEN  8

static uint16_t linux_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return 0x01;
	case ARCHIVE_ENTRY_ACL_USER:
		return 0x02;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return 0x04;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return 0x08;
	case ARCHIVE_ENTRY_ACL_MASK:
		return 0x10;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return 0x20;
	default:
		return 0;
	}
}

static int compare_records(const void *a, const void *b)
{
	uint16_t x_tag = cf_le16_get(a), y_tag = cf_le16_get(b);
	uint32_t x_id = cf_le32_get((const uint8_t *)a + 4);
	uint32_t y_id = cf_le32_get((const uint8_t *)b + 4);

	if (x_tag != y_tag)
		return x_tag < y_tag ? -1 : 1;
	return (x_id > y_id) - (x_id < y_id);
}

static int put_record(struct cf_buf *out, uint16_t tag, int permset, uint32_t id,
		      struct cf_err *err)
{
	uint8_t record[RECORD_LEN];
	int perm = 0;

	perm |= permset & ARCHIVE_ENTRY_ACL_READ ? 4 : 0;
	perm |= permset & ARCHIVE_ENTRY_ACL_WRITE ? 2 : 0;
	perm |= permset & ARCHIVE_ENTRY_ACL_EXECUTE ? 1 : 0;
	cf_le16_put(record, tag);
	cf_le16_put(record + 2, (uint16_t)perm);
	cf_le32_put(record + 4, id);
	return cf_buf_append(out, record, sizeof(record), err);
}

static int put_records(struct archive_entry *from, int want_type, struct cf_buf *out, bool *ok_out,
		       struct cf_err *err)
{
	int type, permset, tag, id, rc = 0;
	const char *name;

	while (rc == 0 && *ok_out &&
	       archive_entry_acl_next(from, want_type, &type, &permset, &tag, &id, &name) == 0) {
		uint16_t acl_tag = linux_tag(tag);
		bool named = acl_tag == 0x02 || acl_tag == 0x08;

		*ok_out = acl_tag != 0 && (!named || id >= 0);
		if (*ok_out)
			rc = put_record(out, acl_tag, permset, named ? (uint32_t)id : ACL_NO_ID, err);
	}
	return rc;
}

int cf_tar_acl_encode(struct archive_entry *from, int type, struct cf_buf *out, bool *ok_out,
		      struct cf_err *err)
{
	int rc;

	cf_buf_clear(out);
	*ok_out = (archive_entry_acl_types(from) & ARCHIVE_ENTRY_ACL_TYPE_NFS4) == 0;
	if (!*ok_out || archive_entry_acl_reset(from, type) == 0)
		return 0;
	rc = cf_buf_put_u32(out, ACL_VERSION, err);
	if (rc == 0)
		rc = put_records(from, type, out, ok_out, err);
	if (rc == 0 && *ok_out)
		qsort(out->data + 4, (out->len - 4) / RECORD_LEN, RECORD_LEN, compare_records);
	else
		cf_buf_clear(out);
	return rc;
}
