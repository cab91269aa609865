// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Hashes } from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import { QuestionId } from "./QuestionId.sol";

/// @notice One answer to one question.
struct Answer {
    QuestionId question;
    uint8 outcome;
}

/// @notice Names a verse: a conjunction of answers. Layout: 240 bits of partition hash, 8 bits number of outcomes of
/// the path's last question, 8 bits the outcome it got. `ROOT` (0) is today's universe.
type VerseId is bytes32;

VerseId constant ROOT = VerseId.wrap(0);

using { eq as ==, neq as != } for VerseId global;
using VerseIds for VerseId global;

function eq(VerseId a, VerseId b) pure returns (bool) {
    return VerseId.unwrap(a) == VerseId.unwrap(b);
}

function neq(VerseId a, VerseId b) pure returns (bool) {
    return VerseId.unwrap(a) != VerseId.unwrap(b);
}

/// @notice Derivation of verse ids. TypeScript twins: `partitionId` and `childVerse` in `sdk/ids.ts`.
library VerseIds {
    /// @notice keccak256(abi.encode(parent, question)) with the low 16 bits cleared.
    function partition(VerseId parent, QuestionId question) internal pure returns (bytes32) {
        return
            bytes32(
                uint256(Hashes.efficientKeccak256(VerseId.unwrap(parent), QuestionId.unwrap(question))) &
                    ~uint256(0xffff)
            );
    }

    /// @notice The verse in which `question` was answered with `outcome`, seen from `parent`. Does not check that
    /// `outcome` exists.
    function child(VerseId parent, QuestionId question, uint256 outcome) internal pure returns (VerseId) {
        return
            VerseId.wrap(
                bytes32(uint256(partition(parent, question)) | (question.outcomeCount() << 8) | (outcome & 0xff))
            );
    }
}
