// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "./IMultiverse.sol";
import { QuestionId } from "../types/QuestionId.sol";
import { Answer, VerseId } from "../types/VerseId.sol";

/// @title The keepers' notebook
/// @notice Where each keeper writes down what its execution worlds showed: one report a partition, keyed by keeper. It
/// decides nothing; oracles do. Probabilities are fixed-point, 1e18 is certainty; costs are fixed-point with 18
/// decimals in the unit the spec names.
interface IWorlds {
    /// @notice What a verse's world ended with.
    /// @param stateRoot Hash of the world's final state; zero for an outcome without a world (void).
    /// @param cost What the program reported as its cost, 18 decimals.
    /// @param probability Conditional on the parent, 18 decimals.
    /// @param trit -1 validator, 0 coordinator, +1 generator; 0 for an outcome without a world.
    /// @param verdict 0 no world, 1 ran and was not verified, 2 verified by re-execution, 3 failed.
    struct World {
        bytes32 stateRoot;
        uint128 cost;
        uint64 probability;
        int8 trit;
        uint8 verdict;
    }

    /// @notice A verse as the project's seed documents draw it.
    /// @param verseId Its id.
    /// @param parentId The parent it was opened from.
    /// @param children Verses this keeper reported as opened from it, in order of reporting.
    /// @param probability Conditional on the parent, 18 decimals.
    /// @param resolved Whether its existence is decided.
    /// @param outcome True: the verse exists. False: it collapsed. Meaningless while unresolved.
    struct Verse {
        bytes32 verseId;
        bytes32 parentId;
        bytes32[] children;
        uint256 probability;
        bool resolved;
        bool outcome;
    }

    /// @notice World extractable value by the costs of two worlds of a partition. TypeScript twin: `costWev` in
    /// `sdk/wev.ts`.
    /// @param priceOfAnarchy C_nash / C_optimal, 18 decimals, rounded down; 0 when unbounded.
    /// @param ratio priceOfAnarchy - 1, not below 0, 18 decimals, rounded down; 0 when unbounded.
    /// @param difference C_nash - C_optimal, 18 decimals: negative when the optimum was none.
    /// @param isInverted Whether the world meant to be optimal cost more than the nash one.
    /// @param isUnbounded Whether C_optimal is 0, so that there is no ratio.
    struct Wev {
        uint256 priceOfAnarchy;
        uint256 ratio;
        int256 difference;
        bool isInverted;
        bool isUnbounded;
    }

    /// @notice A keeper reported a partition. `worlds` is indexed by outcome, void included.
    event PartitionReported(
        address indexed keeper,
        VerseId indexed parent,
        QuestionId indexed question,
        World[] worlds,
        Answer[] path
    );

    /// @notice A keeper revised the probabilities of a partition it had reported.
    event ProbabilitiesUpdated(
        address indexed keeper,
        VerseId indexed parent,
        QuestionId indexed question,
        uint64[] probabilities
    );

    /// @notice Thrown when a report has not one entry for each outcome.
    error WrongWorldCount(uint256 expected, uint256 given);
    /// @notice Thrown when the probabilities of a partition do not sum to exactly 1e18.
    error ProbabilitySum(uint256 sum);
    /// @notice Thrown when a trit is not -1, 0 or 1.
    error InvalidTrit(int8 trit);
    /// @notice Thrown when a verdict is over 3.
    error InvalidVerdict(uint8 verdict);
    /// @notice Thrown when this keeper reported this partition before, with another content.
    error AlreadyReported(address keeper, VerseId parent, QuestionId question);
    /// @notice Thrown when the cost of a world is asked for that did not run, or failed.
    error NoCost(address keeper, VerseId verse);
    /// @notice Thrown when a partition is asked about, or its probabilities are updated, that the keeper did not report.
    error NotReported(address keeper, VerseId parent, QuestionId question);
    /// @notice Thrown when the question is unknown to the ledger.
    error UnknownQuestion(QuestionId question);
    /// @notice Thrown when probabilities are updated after the answer.
    error AlreadyResolved(QuestionId question);

    /// @notice The ledger whose verses are noted here.
    function multiverse() external view returns (IMultiverse);

    /// @notice Reports a partition: one entry for each outcome, void last. Immutable: the same report again succeeds
    /// silently, another one reverts. A verse that several reports open, from different parents, keeps the first
    /// report's world and parent.
    /// @param path The parent's path.
    /// @param question The question that opened the partition.
    function report(Answer[] calldata path, QuestionId question, World[] calldata worlds) external;

    /// @notice Revises the probabilities of a partition the caller reported, until its question is answered.
    function updateProbabilities(VerseId parent, QuestionId question, uint64[] calldata probabilities) external;

    /// @notice What `keeper` reported for a verse; all zero when nothing.
    function world(address keeper, VerseId verse) external view returns (World memory);

    /// @notice The seeds' view of a verse in `keeper`'s notebook. ROOT exists with certainty. A verse the keeper did not
    /// report has only its children, as its path is not known.
    function verse(address keeper, VerseId verse) external view returns (Verse memory);

    /// @notice keccak256(abi.encode(worlds)) of the report `keeper` made of a partition; zero when none.
    function reportHash(address keeper, VerseId parent, QuestionId question) external view returns (bytes32);

    /// @notice The trits of a reported partition and what GF(3) says of them. A partition that is not conserved is noted
    /// all the same, and shows its debt here.
    /// @return sum The plain sum of its worlds' trits.
    /// @return isConserved Whether the sum is 0 modulo 3.
    function trits(
        address keeper,
        VerseId parent,
        QuestionId question
    ) external view returns (int256 sum, bool isConserved);

    /// @notice The price of anarchy and world extractable value of a reported partition, from the costs in the notebook.
    /// Which outcomes are the nash and the optimal world, the spec says.
    /// @param nash The outcome whose world acted selfishly.
    /// @param optimal The outcome whose world cooperated.
    function wev(
        address keeper,
        VerseId parent,
        QuestionId question,
        uint8 nash,
        uint8 optimal
    ) external view returns (Wev memory);
}
