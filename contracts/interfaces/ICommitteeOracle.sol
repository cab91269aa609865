// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { QuestionId } from "../types/QuestionId.sol";
import { IOracle } from "./IOracle.sol";

/// @title An oracle that is a committee
/// @notice A majority of named members signs what survives: EIP-712 for accounts, ERC-1271 for contracts. They may rule
/// outcomes out step by step, as far as the ledger allows. Signatures never expire and are used by whoever brings them;
/// each counts for one question, one oracle and one chain only.
///
/// Terms are `abi.encode(Terms)`, a proof is `abi.encode(Proof)`.
interface ICommitteeOracle is IOracle {
    /// @notice Who decides.
    /// @param members In strictly ascending order, none zero.
    /// @param threshold How many have to sign: more than half of them, at most all.
    struct Terms {
        address[] members;
        uint256 threshold;
    }

    /// @notice What they decided.
    /// @param survivors Bit mask of the outcomes still possible.
    /// @param signers Members in strictly ascending order, `threshold` of them or more.
    /// @param signatures Of each signer, in the same order, over `digest(question, survivors)`.
    struct Proof {
        uint256 survivors;
        address[] signers;
        bytes[] signatures;
    }

    /// @notice Thrown when the terms' members do not strictly ascend from above zero, at the offending index.
    error MembersNotAscending(uint256 index);
    /// @notice Thrown when the terms' threshold is not a majority of the members or is more than all of them.
    error ThresholdOutOfRange(uint256 threshold, uint256 members);
    /// @notice Thrown when a proof has fewer signers than the threshold.
    error TooFewSigners(uint256 signers, uint256 threshold);
    /// @notice Thrown when a proof has not one signature for each signer.
    error SignatureCountMismatch(uint256 signers, uint256 signatures);
    /// @notice Thrown when a proof's signers do not strictly ascend, at the offending index; so also for one signer twice.
    error SignersNotAscending(uint256 index);
    /// @notice Thrown when a signer is not a member.
    error NotMember(address signer);
    /// @notice Thrown when a signature is not the signer's over this question and these survivors.
    error InvalidSignature(address signer);

    /// @notice The EIP-712 hash that members sign: `Verdict(bytes32 question,uint256 survivors)`.
    function digest(QuestionId question, uint256 survivors) external view returns (bytes32);

    /// @notice Decodes terms; reverts without a reason when they are none.
    function decodeTerms(bytes calldata terms) external pure returns (Terms memory);

    /// @notice Decodes a proof; reverts without a reason when it is none.
    function decodeProof(bytes calldata proof) external pure returns (Proof memory);
}
