// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Hashes } from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import { VerseId } from "./VerseId.sol";

/// @notice Names a token inside a verse; the ERC-6909 id. Layout: 240 bits of hash of (partition, token), 8 bits number
/// of outcomes, 8 bits outcome. All siblings of a position share the upper 248 bits: its group.
type PositionId is uint256;

using PositionIds for PositionId global;

/// @notice Derivation of position ids. TypeScript twin: `positionId` in `sdk/ids.ts`.
library PositionIds {
    /// @dev The outcome byte under which a group's complete set is kept; never a real outcome, as there are at most 254.
    uint256 internal constant SET = 0xff;

    /// @notice (keccak256(abi.encode(partition of verse, token)) with the low 16 bits cleared) | the verse's low 16 bits.
    function derive(VerseId verse, address token) internal pure returns (PositionId) {
        uint256 raw = uint256(VerseId.unwrap(verse));
        bytes32 partition = bytes32(raw & ~uint256(0xffff));
        return
            PositionId.wrap(
                (uint256(Hashes.efficientKeccak256(partition, bytes32(uint256(uint160(token))))) & ~uint256(0xffff)) |
                    (raw & 0xffff)
            );
    }

    /// @notice The key under which the owner's complete set of this position's group is stored.
    function set(PositionId id) internal pure returns (PositionId) {
        return PositionId.wrap(PositionId.unwrap(id) | SET);
    }

    /// @notice How many siblings the position has, itself included, read from its id.
    function outcomeCount(PositionId id) internal pure returns (uint256) {
        return (PositionId.unwrap(id) >> 8) & 0xff;
    }

    /// @notice Whether the id names an outcome that cannot exist; such a position has balance 0 and cannot move.
    function isPhantom(PositionId id) internal pure returns (bool) {
        uint256 raw = PositionId.unwrap(id);
        return (raw & 0xff) >= ((raw >> 8) & 0xff);
    }
}
