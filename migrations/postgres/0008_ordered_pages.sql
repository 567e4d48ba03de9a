-- Only the primary key of tags begins with the repository, and of tag_history
-- only the index by tag: PostgreSQL takes every repository for one of few tags,
-- and for a page of a large one would read all of it by any index that begins
-- so, to sort it. The other indexes begin with something else, if only with an
-- expression; statements that mean them are written like it.
DROP INDEX tags_by_digest;
CREATE INDEX tags_by_digest ON tags (digest, repository_id);
DROP INDEX tags_by_age;
CREATE INDEX tags_by_age ON tags ((repository_id + 0), updated_at);
DROP INDEX tag_history_by_repository_age;
CREATE INDEX tag_history_by_repository_age ON tag_history ((repository_id + 0), moved_at);
