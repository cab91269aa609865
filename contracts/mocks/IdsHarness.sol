// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { Paths } from "../libraries/Paths.sol";
import { PositionId, PositionIds } from "../types/PositionId.sol";
import { QuestionId, QuestionIds } from "../types/QuestionId.sol";
import { Answer, VerseId, VerseIds } from "../types/VerseId.sol";

/// @notice Every derivation of an id, in batches, so that `test/sdk/ids.parity.test.ts` can compare the TypeScript twins.
contract IdsHarness {
    using Paths for Answer[];

    /// @param outcome The answer to the derived question.
    /// @param path A canonical path without the derived question.
    struct Input {
        address oracle;
        uint8 outcomes;
        uint64 deadline;
        bytes32 specHash;
        bytes32 termsHash;
        uint8 outcome;
        address token;
        Answer[] path;
    }

    /// @param child The verse of the answer, opened from `verse` as if the question sorted last.
    /// @param inserted The verse of the path with the answer put where its question sorts.
    struct Output {
        QuestionId question;
        VerseId verse;
        bytes32 partition;
        VerseId child;
        VerseId inserted;
        PositionId position;
        PositionId set;
        bool isPhantom;
    }

    function derive(Input[] calldata inputs) external pure returns (Output[] memory outputs) {
        outputs = new Output[](inputs.length);
        for (uint256 i = 0; i < inputs.length; ++i) {
            Input calldata input = inputs[i];
            Output memory output = outputs[i];
            output.question = QuestionIds.derive(
                input.oracle,
                input.outcomes,
                input.deadline,
                input.specHash,
                input.termsHash
            );
            output.verse = input.path.verseId();
            output.partition = VerseIds.partition(output.verse, output.question);
            output.child = output.verse.child(output.question, input.outcome);
            (, VerseId stem, uint256 index) = input.path.locate(output.question);
            output.inserted = input.path.insert(stem, index, output.question, input.outcome);
            output.position = PositionIds.derive(output.inserted, input.token);
            output.set = output.position.set();
            output.isPhantom = output.position.isPhantom();
        }
    }

    function phantoms(PositionId[] calldata ids) external pure returns (bool[] memory answers) {
        answers = new bool[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) answers[i] = ids[i].isPhantom();
    }
}
