-- The supply of a position after each block in which it was minted or burned. In a table of its own: nine of ten transfers do
-- neither, and a history of one verse would read them all.
CREATE TABLE supply_changes (
  position VARCHAR NOT NULL,
  block_number UBIGINT NOT NULL,
  block_timestamp TIMESTAMP NOT NULL,
  supply BIGNUM NOT NULL
);

INSERT INTO supply_changes
SELECT position, block_number, any_value(block_timestamp),
       sum(sum(CASE WHEN sender = '0x0000000000000000000000000000000000000000' THEN amount ELSE 0 END::BIGNUM
               - CASE WHEN receiver = '0x0000000000000000000000000000000000000000' THEN amount ELSE 0 END::BIGNUM))
         OVER (PARTITION BY position ORDER BY block_number)
FROM transfers
WHERE '0x0000000000000000000000000000000000000000' IN (sender, receiver)
GROUP BY position, block_number
ORDER BY block_number, position;
