#include "drivers/name_reader.h"

#include "drivers/pattern.h"

static bool is_quote(const struct cf_name_reader *reader, char c)
{
	if (reader->quote)
		return c == reader->quote;
	return c == '"' || (c == '`' && (reader->flags & CF_PATTERN_MYSQL));
}

static char folded(const struct cf_name_reader *reader, char c)
{
	bool is_upper = c >= 'A' && c <= 'Z';

	return is_upper && !(reader->flags & CF_PATTERN_MYSQL) ? (char)(c - 'A' + 'a') : c;
}

int cf_name_reader_next(struct cf_name_reader *reader, char *c_out, bool *quoted_out)
{
	for (; *reader->at; reader->at++) {
		char c = *reader->at;

		if (reader->quote && c == reader->quote && reader->at[1] == c)
			reader->at++; /* two are one */
		else if (is_quote(reader, c)) {
			reader->quote = reader->quote ? 0 : c;
			continue;
		}
		reader->at++;
		*quoted_out = reader->quote != 0;
		*c_out = *quoted_out ? c : folded(reader, c);
		return 1;
	}
	return 0;
}
