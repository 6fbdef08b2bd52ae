-- Published migrations whose text was changed later: a database that was migrated by the earlier one goes
-- on. What such a change leaves out, a later step does for every database. Records the present checksums
-- ($2, of the versions $1) in the place of earlier ones.
UPDATE notify_fan_out_migrations AS m SET checksum = present.checksum
  FROM unnest($1::bigint[], $2::bytea[]) AS present (version, checksum)
  JOIN (VALUES
        (1, '51d21746c3c7c375797be51b2f07518fb6263ad89c7450b5529998e16c3369c9b5eb8f13e07c0b0817bcd359a274b5c8'),
        (2, '970b6507bc1873e53530cdf7dca70cef3a1d015e2a8ab05c4e5b287d7f8cf677fbb001012f3a05f75a059a14f025dc18'),
        (3, '1c2b3a6fa9a8221e52be2cfef1a40e794e578d268aa0d78d520fec16dd7a70d415cf9cd5023242ebd741850c87050781'),
        (4, 'ba1f18a1b074251604a2837c6c0e9ab445a706688a8940e2823ae8a46b928ad9c9014be601b568823e4b44c1293c94b9'),
        (7, '39fda512a3b6eb6adf55d027f5209c02bc9e86af6d23b9e1cb8b50f620accc27628d763a956f38aec4ae51c5ac638ad6'),
        (8, '5d3e500d9bf087bccfb11fb3d595533b89d9082e3db5e7ae29ef729ad23d5d9173c59319b18c5dbc628fd2a52003e401'),
        (9, '4181ab375af4139d0709ef53e135b548311cf15705131af87e9d4e9dd987195a3c3a66d4cfcbce5b626522e4e24603d8'),
        (10, '98382f545ba06160f41483b6d3e8f41b8d1283a3bd81e17c5cf171ca507061065f88fc3550d7b594a2f1b5fd2ce6f6dc')
       ) AS earlier (version, checksum) USING (version)
 WHERE m.version = present.version AND m.checksum = decode(earlier.checksum, 'hex')
